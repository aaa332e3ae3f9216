package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// EventSource gives what has happened from number n on, one JSON value each,
// the number of the next one to come, and a channel that is closed when it has
// come; a nil channel means that nothing ever will. What is not remembered any
// more is left out.
type EventSource func(n uint64) (events []json.RawMessage, next uint64, more <-chan struct{})

// eventWrite bounds writing to a reader that does not read.
const eventWrite = 10 * time.Second

// runHeader names the run of the program whose events are numbered: a reader that
// was cut off goes on where it was if the program is still the same.
const runHeader = "Mpproxy-Run"

// ErrNoEvents: the program makes no decisions of its own.
var ErrNoEvents = errors.New("this program leaves subflows to the kernel and decides nothing itself: status says why")

// Skipped stands in the stream of events for some that are not remembered any
// more: the reader was too slow, or came too late.
type Skipped struct {
	Skipped uint64 `json:"skipped"`
}

// events answers GET /v1/events[?follow=1][&from=N&run=ID] with one JSON value a
// line: what is remembered, and with follow also what comes, until the reader
// leaves.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Events == nil {
		http.Error(w, ErrNoEvents.Error(), http.StatusNotFound)
		return
	}
	q := r.URL.Query()
	n := uint64(0)
	if q.Get("run") == s.run {
		n, _ = strconv.ParseUint(q.Get("from"), 10, 64) // 0 without
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(runHeader, s.run)
	out := http.NewResponseController(w)
	for {
		lines, next, more := s.cfg.Events(n)
		if more == nil {
			http.Error(w, ErrNoEvents.Error(), http.StatusNotFound)
			return
		}
		if told := n + uint64(len(lines)); told < next {
			if b, err := json.Marshal(Skipped{next - told}); err == nil {
				lines = append([]json.RawMessage{b}, lines...)
			}
		}
		_ = out.SetWriteDeadline(time.Now().Add(eventWrite))
		for _, l := range lines {
			if _, err := w.Write(append(l, '\n')); err != nil {
				return // the reader has left
			}
		}
		if err := out.Flush(); err != nil || q.Get("follow") == "" {
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

// EventsOptions say which events are wanted.
type EventsOptions struct {
	// Follow waits for further ones; when the program goes away, for the next run
	// of it, too.
	Follow bool
	// Waiting is called when the program has gone and is waited for; may be nil.
	Waiting func(error)
}

// How long to wait before the program is asked again that has gone away.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 3 * time.Second
)

// Events reads events and hands each to f, until there are no more, f fails, or
// ctx ends (which is no error). A Skipped stands where some are missing. The error
// wraps ErrNotRunning if there is no such program when it is asked first, and
// ErrNoEvents if it has none to tell.
func (t Target) Events(ctx context.Context, opt EventsOptions, f func(json.RawMessage) error) error {
	s := stream{target: t, follow: opt.Follow, f: f}
	pause := firstRetry
	for first := true; ; first = false {
		before := s.next
		err := s.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case s.failed != nil:
			return s.failed
		case !opt.Follow, errors.Is(err, ErrNoEvents), first && errors.Is(err, ErrNotRunning):
			return err
		}
		if s.next != before || first {
			pause = firstRetry
			if opt.Waiting != nil {
				opt.Waiting(err)
			}
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastRetry)
		case <-ctx.Done():
			return nil
		}
	}
}

// stream is where a reader is.
type stream struct {
	target Target
	follow bool
	f      func(json.RawMessage) error
	failed error // of f

	run  string // of the program that next is a number of
	next uint64
}

// read reads from one connection.
func (s *stream) read(ctx context.Context) error {
	q := url.Values{}
	if s.follow {
		q.Set("follow", "1")
	}
	if s.run != "" {
		q.Set("run", s.run)
		q.Set("from", strconv.FormatUint(s.next, 10))
	}
	resp, err := s.target.query(ctx, "/v1/events?"+q.Encode(), 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return ErrNoEvents
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("asking %s: %s", s.target.Program, resp.Status)
	}
	if run := resp.Header.Get(runHeader); run != s.run {
		s.run, s.next = run, 0
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Split(wholeLines)
	for lines.Scan() {
		if s.failed = s.take(lines.Bytes()); s.failed != nil {
			return s.failed
		}
	}
	err = lines.Err()
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	if s.follow {
		return nil // it has stopped, and may come back
	}
	return fmt.Errorf("%s has stopped while its events were read: %w", s.target.Program, err)
}

// wholeLines is bufio.ScanLines without a last line that was cut off.
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	return bufio.ScanLines(data, false)
}

// take counts an event and hands it on.
func (s *stream) take(raw []byte) error {
	var gap Skipped
	if err := json.Unmarshal(raw, &gap); err == nil && gap.Skipped > 0 {
		s.next += gap.Skipped
	} else {
		s.next++
	}
	return s.f(json.RawMessage(raw))
}
