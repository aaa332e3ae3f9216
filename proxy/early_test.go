package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/front"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
)

// startEarly starts a front that answers early, and a concentrator that keeps legs.
func startEarly(t *testing.T) (f *front.Front, at netip.AddrPort) {
	t.Helper()
	_, conc := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = 32 })
	up := upstreamTo(conc.Addr, func(c *leg.Config) { c.IdleLegs = 32 })
	f, running := startFront(t, up, func(c *front.Config) { c.EarlyAnswer = true })
	return f, running.Addr
}

// connect asks a front for a destination, and returns its answer.
func connect(t *testing.T, at, dest netip.AddrPort) (*net.TCPConn, proxy.Outcome) {
	t.Helper()
	c := DialPlain(t, at)
	t.Cleanup(func() { _ = c.Close() })
	_, err := c.Write(Join(GreetUser("x+handover", ""), ConnectAddr(dest)))
	Must(t, err)
	return c, ReadAnswer(t, c, []byte{5, 2, 1, 0})
}

// TestEarlyAnswer: the second flow to a destination is answered before the destination is
// reached, its first data arrive once and in order, and whoever speaks first is heard.
func TestEarlyAnswer(t *testing.T) {
	echo := StartDestination(t, Echo)
	greets := StartDestination(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("220 ready\r\n"))
		Echo(c)
	})
	f, at := startEarly(t)
	for i := range 4 {
		c, r := connect(t, at, echo)
		if r != proxy.Succeeded {
			t.Fatal(r)
		}
		if got := Exchange(t, c, "question"); got != "question" {
			t.Errorf("flow %d: got %q", i, got)
		}
		c, r = connect(t, at, greets)
		if r != proxy.Succeeded {
			t.Fatal(r)
		}
		hello := make([]byte, len("220 ready\r\n"))
		if _, err := io.ReadFull(c, hello); err != nil || string(hello) != "220 ready\r\n" {
			t.Errorf("flow %d: heard %q, %v", i, hello, err)
		}
		if got := Exchange(t, c, "EHLO"); got != "EHLO" {
			t.Errorf("flow %d: got %q", i, got)
		}
	}
	if n := f.Table().Totals.AnsweredEarly.Load(); n != 6 {
		t.Errorf("%d early answers", n)
	}
	if n := f.Table().Totals.AnsweredWrongly.Load(); n != 0 {
		t.Errorf("%d wrong answers", n)
	}
}

// TestEarlyAnswerWasWrong: a destination that has gone resets the application that was
// told that it is connected; the next one has the honest answer.
func TestEarlyAnswerWasWrong(t *testing.T) {
	f, at := startEarly(t)
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(AnyPort))
	Must(t, err)
	dest := l.Addr().(*net.TCPAddr).AddrPort()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := l.AcceptTCP(); err == nil {
			Echo(c)
			_ = c.Close()
		}
	}()
	c, r := connect(t, at, dest)
	if got := Exchange(t, c, "question"); r != proxy.Succeeded || got != "question" {
		t.Fatal(r, got)
	}
	Await(t, "the destination has answered", accepted)
	Must(t, l.Close())

	c, r = connect(t, at, dest)
	if r != proxy.Succeeded {
		t.Fatalf("answered %v: not early", r)
	}
	_, _ = c.Write([]byte("question"))
	Must(t, c.SetReadDeadline(time.Now().Add(Patience)))
	if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", got, err)
	}
	Eventually(t, "it is counted", func() bool { return f.Table().Totals.AnsweredWrongly.Load() == 1 })
	if _, r := connect(t, at, dest); r != proxy.ConnectionRefused {
		t.Errorf("then answered %v", r)
	}
}
