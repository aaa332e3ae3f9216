package control

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpproxy/mptcpsock"
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

// must1 is must for a result with a value: must1(f())(t).
func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// mptcpSysctls holds the sysctls of the calling thread's network namespace.
const mptcpSysctls = "/proc/sys/net/mptcp/"

// needMPTCP skips where the host gives no MPTCP sockets.
func needMPTCP(t testing.TB) {
	t.Helper()
	if err := mptcpsock.ProbeMPTCP(); err != nil {
		if _, statErr := os.Stat(mptcpSysctls); statErr == nil && !errors.Is(err, mptcpsock.ErrDisabled) {
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
