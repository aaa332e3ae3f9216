package serve_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
)

func TestWatchPeer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoke bool
		do    func(c *net.TCPConn)
		gone  bool
	}{
		{"silent", false, func(*net.TCPConn) {}, false},
		{"sends", false, func(c *net.TCPConn) { _, _ = c.Write([]byte{1}) }, false},
		{"closes", false, func(c *net.TCPConn) { _ = c.Close() }, true},
		// It may wait for a server that speaks first, or has no question: nothing says
		// that it will not read the answer.
		{"half-closes without a word", false, func(c *net.TCPConn) { _ = c.CloseWrite() }, false},
		{"half-closes, and closes", false, func(c *net.TCPConn) { _ = c.CloseWrite(); _ = c.Close() }, true},
		{"resets", false, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, true},
		{"half-closes behind data", false, func(c *net.TCPConn) { _, _ = c.Write([]byte{1}); _ = c.CloseWrite() }, false},
		{"half-closes behind data read before", true, func(c *net.TCPConn) { _ = c.CloseWrite() }, false},
		{"sends and resets", false, func(c *net.TCPConn) { _, _ = c.Write([]byte{1}); _ = c.SetLinger(0); _ = c.Close() }, true},
		{"resets after data read before", true, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peers := make(chan *net.TCPConn, 1)
			done := make(chan struct{})
			at := StartDestination(t, func(c *net.TCPConn) { peers <- c; <-done })
			defer close(done)
			c := DialPlain(t, at)
			peer := Await(t, "the peer", peers)
			gone := make(chan struct{})
			var calls atomic.Int32
			stop := serve.WatchPeer(peer, tt.spoke, func() { calls.Add(1); close(gone) })
			tt.do(c)
			if tt.gone {
				Await(t, "it is noticed", gone)
			} else {
				_, err := peer.Write([]byte{2}) // still works
				Must(t, err)
			}
			stop()
			if got := calls.Load() == 1; got != tt.gone {
				t.Errorf("gone: %v, want %v", got, tt.gone)
			}
			if tt.gone {
				return
			}
			// What was sent is still there, and no deadline is left.
			Must(t, c.CloseWrite())
			if _, err := io.ReadAll(peer); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWatchLeg: what the end of a leg means depends on whether the client marks the end of
// its data in the leg.
func TestWatchLeg(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		peers := make(chan *net.TCPConn, 1)
		done := make(chan struct{})
		at := StartDestination(t, func(c *net.TCPConn) { peers <- c; <-done })
		c := DialPlain(t, at)
		gone := make(chan struct{})
		stop := serve.WatchLeg(Await(t, "the leg", peers), false, sealed, func() { close(gone) })
		Must(t, c.CloseWrite())
		if !sealed {
			Must(t, c.SetLinger(0))
			Must(t, c.Close()) // a reset says it on each leg
		}
		Await(t, "the client's leave", gone)
		stop()
		close(done)
	}
}
