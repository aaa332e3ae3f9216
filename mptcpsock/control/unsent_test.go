package control

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/engine"
)

// TestBoundUnsent: a controller bounds what a connection holds unsent, unless the
// program does.
func TestBoundUnsent(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	c, _ := connect(t, Dialer{}, ln, ln.Addr())
	b, ok := Reader(c.Conn).(engine.Bounder)
	if !ok {
		t.Fatal("what reads a connection cannot bound it")
	}
	lowat := func() (v int) {
		t.Helper()
		var err error
		must(t, c.control(func(fd int) { v, err = unix.GetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT) }))
		must(t, err)
		return v
	}
	if err := b.BoundUnsent(8192); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("TCP_NOTSENT_LOWAT of MPTCP sockets came with Linux 6.9")
	} else if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{16384, 0} {
		must(t, b.BoundUnsent(want))
		if got := lowat(); got != want {
			t.Errorf("TCP_NOTSENT_LOWAT is %d, want %d", got, want)
		}
	}
	const own = 100_000
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT, own)
	}))
	must(t, err)
	if b.BoundUnsent(8192) == nil {
		t.Error("the program's own bound was replaced")
	}
	if got := lowat(); got != own {
		t.Errorf("TCP_NOTSENT_LOWAT is %d, the program has set %d", got, own)
	}
}
