package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
	"testing"

	"mpproxy/test/netns/apps"
)

// gate stops a transfer at given bytes until the test lets it go on: what is to
// be seen or done in the middle of a transfer happens there on any machine,
// however fast or slow. It is a pipe's end, so that the application stands
// still and the proxy with it.
type gate struct {
	stops   []int64
	at      int64
	reached chan int64
	goOn    chan struct{}
	open    chan struct{} // closed: no more stops
	opening sync.Once
}

func newGate(t *testing.T, stops ...int64) *gate {
	g := &gate{
		stops: stops, reached: make(chan int64, len(stops)),
		goOn: make(chan struct{}, len(stops)), open: make(chan struct{}),
	}
	t.Cleanup(g.release) // a test that failed must not leave a command waiting
	return g
}

// wait returns when the transfer has come to the next stop.
func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.reached:
	case <-patient(t).Done():
		t.Fatal("the transfer does not proceed")
	}
}

// next lets the transfer run to the next stop, release to its end.
func (g *gate) next()    { g.goOn <- struct{}{} }
func (g *gate) release() { g.opening.Do(func() { close(g.open) }) }

// pass counts n bytes and stands still if a stop lies among them.
func (g *gate) pass(n int) {
	g.at += int64(n)
	for len(g.stops) > 0 && g.at >= g.stops[0] {
		g.reached <- g.stops[0]
		g.stops = g.stops[1:]
		select {
		case <-g.goOn:
		case <-g.open:
		}
	}
}

// sink hashes what is written to it and stops at the gate.
type sink struct {
	gate *gate
	sum  hash.Hash
	n    int64
}

func newSink(g *gate) *sink { return &sink{gate: g, sum: sha256.New()} }

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	n, err := s.sum.Write(b)
	s.n += int64(n)
	s.gate.pass(n)
	return n, err
}

// check fails the test unless exactly the content of a size was written.
func (s *sink) check(t *testing.T, size int64) {
	t.Helper()
	if got := hex.EncodeToString(s.sum.Sum(nil)); s.n != size || got != apps.SHA256(size) {
		t.Errorf("received %d bytes with SHA-256 %s, want %d with %s", s.n, got, size, apps.SHA256(size))
	}
}

// source is content that stops at the gate.
type source struct {
	gate    *gate
	content io.Reader
}

func newSource(g *gate, size int64) *source {
	// Not the content itself: its WriteTo would pass by.
	return &source{g, struct{ io.Reader }{apps.NewContent(size)}}
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.content.Read(b)
	s.gate.pass(n)
	return n, err
}

var errUnfinished = errors.New("the transfer has not ended")
