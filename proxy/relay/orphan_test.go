package relay

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOrphan: a connection that its application has closed ends soon after the kernel has
// forgotten it, although the other side ignores its end. What was delivered arrives. One
// that is half-closed lives on meanwhile.
func TestOrphan(t *testing.T) {
	for _, lb := range []link{linkTCP, linkMPTCP, linkTLS, linkFramedTLS} {
		t.Run(lb.name, func(t *testing.T) {
			t.Parallel()
			parking, err := NewParking(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { parking.Close() })
			half := start(t, linkTCP, lb, Config{Parking: parking})
			mustWrite(t, half.A, "question")
			if err := half.A.CloseWrite(); err != nil {
				t.Fatal(err)
			}

			left := start(t, linkTCP, lb, Config{Parking: parking})
			mustWrite(t, left.A, "question")
			forgetSoon(t, left.A.(*net.TCPConn))
			if err := left.A.Close(); err != nil {
				t.Fatal(err)
			}
			if res := left.wait(); res.Reason != ReadErrorA || !errors.Is(res.Err, syscall.EPIPE) { // a reset behind the end
				t.Errorf("result %v, %v", res.Reason, res.Err)
			}
			got, err := io.ReadAll(left.B)
			if lb == linkTCP && (string(got) != "question" || err != nil) {
				t.Errorf("a slow reader got %q, %v", got, err)
			}
			if lb.mptcp && !errors.Is(err, syscall.ECONNRESET) && string(got) != "question" {
				t.Errorf("the leg's other end learns %q, %v", got, err)
			}

			if got, err := io.ReadAll(half.B); string(got) != "question" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			mustWrite(t, half.B, "answer")
			if err := half.B.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(half.A); string(got) != "answer" || err != nil {
				t.Errorf("the half-closed side got %q, %v", got, err)
			}
			if res := half.wait(); res.Reason != BothEnded {
				t.Errorf("half-closed: %v, %v", res.Reason, res.Err)
			}
		})
	}
}

// forgetSoon has the kernel remember a closed connection for a second.
func forgetSoon(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_LINGER2, 1) })
		err = errors.Join(err, cerr)
	}
	if err != nil {
		t.Fatal(err)
	}
}
