package mptcpsock

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	lab "mpproxy/test/netns"
)

func TestMain(m *testing.M) {
	_ = lab.Enter() // lab.Require repeats the error
	goleak.VerifyTestMain(m)
}

// testContext bounds every wait of a test; it is no performance claim.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needMPTCP skips where the host gives no MPTCP sockets.
func needMPTCP(t testing.TB) {
	t.Helper()
	if err := ProbeMPTCP(); err != nil {
		if _, statErr := os.Stat(sysctlDir); statErr == nil && !errors.Is(err, ErrDisabled) {
			t.Fatal("the kernel has MPTCP, yet: ", err)
		}
		t.Skip(err)
	}
}

// listen listens on an address, with a bound on the wait for connections.
func listen(t testing.TB, lc ListenConfig, on string) *Listener {
	t.Helper()
	ln, err := lc.Listen(testContext(t), netip.MustParseAddrPort(on))
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(30*time.Second)))
	return ln
}

// connect dials a listener, at its own address when to is none, and accepts.
func connect(t testing.TB, d Dialer, ln *Listener, to netip.AddrPort) (client, server *Conn) {
	t.Helper()
	if !to.IsValid() {
		to = ln.Addr()
	}
	client, err := d.Dial(testContext(t), to)
	must(t, err)
	server = accept(t, ln)
	bound(t, client)
	return client, server
}

func accept(t testing.TB, ln *Listener) *Conn {
	t.Helper()
	c, err := ln.Accept()
	must(t, err)
	bound(t, c)
	return c
}

// bound closes c with the test and bounds its waits.
func bound(t testing.TB, c *Conn) {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
}

// sockoptInt reads a socket option of a connection.
func sockoptInt(t testing.TB, c *Conn, level, name int) int {
	t.Helper()
	var v int
	var err error
	must(t, c.control(func(fd int) { v, err = unix.GetsockoptInt(fd, level, name) }))
	must(t, err)
	return v
}
