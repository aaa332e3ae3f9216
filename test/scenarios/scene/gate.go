package scene

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

// Gate stops a transfer at given bytes until the test lets it go on: what is to
// be seen or done in the middle of a transfer happens there on any machine,
// however fast or slow. It is a pipe's end, so that the application stands
// still and the proxy with it.
type Gate struct {
	stops   []int64
	at      int64
	reached chan int64
	goOn    chan struct{}
	open    chan struct{} // closed: no more stops
	opening sync.Once
}

func NewGate(t *testing.T, stops ...int64) *Gate {
	g := &Gate{
		stops: stops, reached: make(chan int64, len(stops)),
		goOn: make(chan struct{}, len(stops)), open: make(chan struct{}),
	}
	t.Cleanup(g.release) // a test that failed must not leave a command waiting
	return g
}

// Wait returns when the transfer has come to the next stop.
func (g *Gate) Wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.reached:
	case <-Patient(t).Done():
		t.Fatal("the transfer does not proceed")
	}
}

// Next lets the transfer run to the next stop, release to its end.
func (g *Gate) Next() { g.goOn <- struct{}{} }

func (g *Gate) release() { g.opening.Do(func() { close(g.open) }) }

// pass counts n bytes and stands still if a stop lies among them.
func (g *Gate) pass(n int) {
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
	Gate *Gate
	sum  hash.Hash
	N    int64
}

func NewSink(g *Gate) *sink { return &sink{Gate: g, sum: sha256.New()} }

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	n, err := s.sum.Write(b)
	s.N += int64(n)
	s.Gate.pass(n)
	return n, err
}

// Check fails the test unless exactly the content of a size was written.
func (s *sink) Check(t *testing.T, size int64) {
	t.Helper()
	if got := hex.EncodeToString(s.sum.Sum(nil)); s.N != size || got != apps.SHA256(size) {
		t.Errorf("received %d bytes with SHA-256 %s, want %d with %s", s.N, got, size, apps.SHA256(size))
	}
}

// source is content that stops at the gate.
type source struct {
	gate    *Gate
	content io.Reader
}

func newSource(g *Gate, size int64) *source {
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
