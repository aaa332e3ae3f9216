package admin

import (
	"context"
	"encoding/json"
	"errors"
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
	s := NewServer(Config{Socket: socket, Events: source})
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
	err := Events(t.Context(), socket, false, func(raw json.RawMessage) error {
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
	err := Events(ctx, socket, true, func(raw json.RawMessage) error {
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
			err := Events(t.Context(), serveEvents(t, source), true, func(json.RawMessage) error { return nil })
			if !errors.Is(err, ErrNoEvents) {
				t.Errorf("Events = %v, want ErrNoEvents", err)
			}
		})
	}
}
