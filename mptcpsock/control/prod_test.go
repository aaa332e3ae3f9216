package control

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/engine"
)

// TestProd: a controller has the kernel ask for signs of life sooner, and as late as
// before again.
func TestProd(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	c, _ := connect(t, Dialer{}, ln, ln.Addr())
	p, ok := Reader(c.Conn).(engine.Prodder)
	if !ok {
		t.Fatal("what reads a connection cannot ask for signs of life")
	}
	idle := func() (v int) {
		t.Helper()
		var err error
		must(t, c.control(func(fd int) { v, err = unix.GetsockoptInt(fd, unix.SOL_TCP, unix.TCP_KEEPIDLE) }))
		must(t, err)
		return v
	}
	if err := p.Prod(time.Second); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("TCP_KEEPIDLE of MPTCP sockets came with Linux 6.10")
	} else if err != nil {
		t.Fatal(err)
	}
	if got := idle(); got != 1 {
		t.Errorf("asks after %d s, want 1", got)
	}
	must(t, p.Prod(0))
	if got, want := idle(), int(2*time.Minute/time.Second); got != want {
		t.Errorf("asks after %d s, want %d as at first", got, want)
	}
}
