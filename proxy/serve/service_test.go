package serve

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	. "mpproxy/proxy/proxytest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRefusalsAreBounded checks that connections beyond the limit and beyond the
// slots for saying so are closed at once.
func TestRefusalsAreBounded(t *testing.T) {
	s := New(nil, 1, 0)
	var releases []func()
	var fulls, drops int
	handled := make(chan func(), 100)
	full := make(chan bool, 100)
	for range 1 + refusalSlots + 3 {
		s.admit(func() error { drops++; return nil }, func(f bool, release func()) { full <- f; handled <- release })
	}
	for range 1 + refusalSlots {
		if Await(t, "a handler", full) {
			fulls++
		}
		releases = append(releases, Await(t, "a handler", handled))
	}
	if fulls != refusalSlots || drops != 3 || s.table.Totals.Refused.Load() != refusalSlots+3 {
		t.Errorf("%d told, %d dropped, %d counted", fulls, drops, s.table.Totals.Refused.Load())
	}
	for _, release := range releases {
		release()
	}
	s.wg.Wait()
	if len(s.limit)+len(s.refusal) != 0 {
		t.Errorf("%d and %d slots are not given back", len(s.limit), len(s.refusal))
	}
}

// TestAcceptLoopGoesOn checks that no error but the listener's end ends it.
func TestAcceptLoopGoesOn(t *testing.T) {
	s := New(nil, 10, 0)
	steps := []error{syscall.EMFILE, nil, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS, errors.New("odd"), nil, net.ErrClosed}
	peers, served := make(chan net.Conn, 2), 0
	accept := func() (net.Conn, error) {
		err := steps[0]
		steps = steps[1:]
		if err != nil {
			return nil, &net.OpError{Op: "accept", Err: err}
		}
		c, peer := net.Pipe()
		peers <- peer
		return c, nil
	}
	handle := func(c net.Conn) { _ = c.Close() }
	Must(t, acceptLoop(Within(t), s, accept, handle))
	close(peers)
	for range peers {
		served++
	}
	if served != 2 || len(steps) != 0 {
		t.Errorf("%d served, steps left %v", served, steps)
	}
}

// TestAcceptLoopStops checks that the pause after an error does not Hold up the
// end.
func TestAcceptLoopStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	accept := func() (net.Conn, error) { return nil, syscall.EMFILE }
	Must(t, acceptLoop(ctx, New(nil, 1, 0), accept, func(net.Conn) { t.Error("served") }))
}
