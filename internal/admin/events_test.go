package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ticker is an event source that the test feeds.
type ticker struct {
	mu   sync.Mutex
	n    uint64
	more chan struct{}
}

func (s *ticker) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	close(s.more)
	s.more = make(chan struct{})
}

func (s *ticker) since(n uint64) (out []json.RawMessage, next uint64, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; n < s.n; n++ {
		out = append(out, json.RawMessage(strconv.FormatUint(n, 10)))
	}
	return out, s.n, s.more
}

// serveEvents runs a server until the test ends.
func serveEvents(t *testing.T, source EventSource) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "admin.sock")
	s := NewServer(Config{Program: "mpproxy-client", Socket: socket, Events: source})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not get ready")
	}
	return socket
}

func TestEventsTellWhatIsRememberedAndEnd(t *testing.T) {
	src := &ticker{more: make(chan struct{})}
	socket := serveEvents(t, src.since)
	src.add()
	src.add()
	var got []string
	err := client(socket).Events(t.Context(), EventsOptions{}, func(raw json.RawMessage) error {
		got = append(got, string(raw))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0", "1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsFollow(t *testing.T) {
	src := &ticker{more: make(chan struct{})}
	socket := serveEvents(t, src.since)
	src.add()
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	err := client(socket).Events(ctx, EventsOptions{Follow: true}, func(raw json.RawMessage) error {
		got = append(got, string(raw))
		if len(got) == 3 {
			cancel() // the reader has seen enough
		} else {
			src.add()
		}
		return nil
	})
	if err != nil {
		t.Errorf("Events = %v after its context ended, want nil", err)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsWhereNobodyDecides(t *testing.T) {
	none := func(uint64) ([]json.RawMessage, uint64, <-chan struct{}) { return nil, 0, nil }
	for name, source := range map[string]EventSource{"no source": nil, "a source without events": none} {
		t.Run(name, func(t *testing.T) {
			err := client(serveEvents(t, source)).Events(t.Context(), EventsOptions{Follow: true}, func(json.RawMessage) error { return nil })
			if !errors.Is(err, ErrNoEvents) {
				t.Errorf("Events = %v, want ErrNoEvents", err)
			}
		})
	}
}

// forgetful is a source that remembers the newest event only.
type forgetful struct{ ticker }

func (s *forgetful) since(n uint64) (out []json.RawMessage, next uint64, more <-chan struct{}) {
	out, next, more = s.ticker.since(n)
	if len(out) > 1 {
		out = out[len(out)-1:]
	}
	return out, next, more
}

// TestEventsTellOfGaps: what is not remembered any more is said to be missing.
func TestEventsTellOfGaps(t *testing.T) {
	src := &forgetful{ticker{more: make(chan struct{})}}
	socket := serveEvents(t, src.since)
	for range 5 {
		src.add()
	}
	var got []string
	err := client(socket).Events(t.Context(), EventsOptions{}, func(raw json.RawMessage) error {
		got = append(got, string(raw))
		return nil
	})
	if diff := cmp.Diff([]string{`{"skipped":4}`, "4"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestEventsSurviveARestart: who follows goes on with the next run from its
// beginning, and is told of the time between.
func TestEventsSurviveARestart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	serve := func() (src *ticker, stop func()) {
		src = &ticker{more: make(chan struct{})}
		src.add()
		end := start(t, Config{Socket: socket, Events: src.since})
		return src, func() {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
	first, stop := serve()
	got := make(chan string)
	waits := make(chan error, 1)
	ended := make(chan error, 1)
	go follow(ctx, socket, got, waits, ended)
	first.add()
	if a, b := <-got, <-got; a != "0" || b != "1" {
		t.Errorf("the first run: %s, %s", a, b)
	}
	stop()
	<-waits
	_, stop = serve()
	if a := <-got; a != "0" {
		t.Errorf("the second run: %s", a)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Events = %v after its context ended, want nil", err)
	}
	stop()
}

// TestEventsGoOn: who comes back to the same run hears nothing twice.
func TestEventsGoOn(t *testing.T) {
	src := &ticker{more: make(chan struct{})}
	socket := serveEvents(t, src.since)
	src.add()
	var got []string
	s := stream{target: client(socket), f: func(raw json.RawMessage) error { got = append(got, string(raw)); return nil }}
	for range 2 {
		if err := s.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		src.add()
	}
	if diff := cmp.Diff([]string{"0", "1"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestEventsCutOff: a program that ends in the middle of an event has stopped, and the
// event is asked for again by who follows. To others the list is not complete.
func TestEventsCutOff(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n5\r\n{\"a\"\r\n")
			_ = c.Close()
		}
	}()
	defer l.Close()
	for _, follow := range []bool{true, false} {
		var got []string
		s := stream{target: client(socket), follow: follow, f: func(raw json.RawMessage) error { got = append(got, string(raw)); return nil }}
		if err := s.read(t.Context()); (err == nil) != follow {
			t.Errorf("following: %t: read = %v", follow, err)
		}
		if diff := cmp.Diff([]string{"{}"}, got); diff != "" || s.next != 1 {
			t.Errorf("following: %t: next is %d\n%s", follow, s.next, diff)
		}
	}
}

func follow(ctx context.Context, socket string, got chan<- string, waits chan<- error, ended chan<- error) {
	ended <- client(socket).Events(ctx, EventsOptions{Follow: true, Waiting: func(err error) { waits <- err }}, func(raw json.RawMessage) error {
		select {
		case got <- string(raw):
		case <-ctx.Done():
		}
		return nil
	})
}
