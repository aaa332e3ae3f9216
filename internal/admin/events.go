package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// EventSource gives what has happened from number n on, one JSON value each,
// the number of the next one to come, and a channel that is closed when it has
// come; a nil channel means that nothing ever will.
type EventSource func(n uint64) (events []json.RawMessage, next uint64, more <-chan struct{})

// eventWrite bounds writing to a reader that does not read.
const eventWrite = 10 * time.Second

// ErrNoEvents: the client makes no decisions of its own.
var ErrNoEvents = errors.New("this client leaves subflows to the kernel and decides nothing itself: set path_manager = \"userspace\" to let it")

// events answers GET /v1/events[?follow=1] with one JSON value a line: what is
// remembered, and with follow also what comes, until the reader leaves.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Events == nil {
		http.Error(w, ErrNoEvents.Error(), http.StatusNotFound)
		return
	}
	var n uint64
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	for {
		lines, next, more := s.cfg.Events(n)
		if more == nil {
			http.Error(w, ErrNoEvents.Error(), http.StatusNotFound)
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(eventWrite))
		for _, l := range lines {
			if _, err := w.Write(append(l, '\n')); err != nil {
				return // the reader has left
			}
		}
		if err := out.Flush(); err != nil || r.URL.Query().Get("follow") == "" {
			return
		}
		n = next
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// Events reads events from the client that listens on socket and hands each to
// f, until there are no more, f fails, or ctx ends (which is no error). With
// follow it waits for further ones. The error wraps ErrNotRunning if there is no
// client, and ErrNoEvents if it has none to tell.
func Events(ctx context.Context, socket string, follow bool, f func(json.RawMessage) error) error {
	u := "http://mpproxy/v1/events"
	if follow {
		u += "?follow=1"
	}
	resp, err := query(ctx, socket, u, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return ErrNoEvents
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the client: %s", resp.Status)
	}
	lines := bufio.NewScanner(io.Reader(resp.Body))
	for lines.Scan() {
		if err := f(json.RawMessage(lines.Bytes())); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return lines.Err()
}
