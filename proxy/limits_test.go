package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/front"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/ingress/socks5"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
)

func TestConcentratorFull(t *testing.T) {
	dest := StartDestination(t, Hold)
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.MaxConnections = 2 })
		up := upstreamTo(at.Addr, l.up)
		var open []*leg.Leg
		for range 2 {
			got, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)})
			Must(t, err)
			open = append(open, got)
		}
		if _, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)}); proxy.OutcomeOf(err) != proxy.GeneralFailure {
			t.Errorf("beyond the limit: %v", err)
		}
		if n := conc.Table().Totals.Refused.Load(); n != 1 {
			t.Errorf("%d refused", n)
		}
		Must(t, open[0].Stream.Close())
		Eventually(t, "there is room again", func() bool {
			got, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)})
			if err == nil {
				open[0] = got
			}
			return err == nil
		})
		for _, o := range open {
			_ = o.Stream.Close()
		}
	})
}

func TestUserLimits(t *testing.T) {
	dest := StartDestination(t, Hold)
	conc, at := startConcentrator(t, func(c *egress.Config) {
		c.MaxConnectionsPerUser = 1
		c.UserLimit = func(_ context.Context, user string) (int, error) { return map[string]int{"bob": 2}[user], nil }
	})
	open := func(user string) error {
		up := upstreamTo(at.Addr, func(c *leg.Config) {
			c.Credentials = func(string) (string, string) { return user, "token" }
		})
		got, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)})
		if err == nil {
			t.Cleanup(func() { _ = got.Stream.Close() })
		}
		return err
	}
	for _, tt := range []struct {
		user string
		want proxy.Outcome
	}{
		{"alice", proxy.Succeeded},
		{"alice", proxy.NotAllowed},
		{"bob", proxy.Succeeded},
		{"bob+handover", proxy.Succeeded}, // the mode makes nobody another user
		{"bob", proxy.NotAllowed},
		{"alice", proxy.NotAllowed},
	} {
		if got := proxy.OutcomeOf(open(tt.user)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.user, got, tt.want)
		}
	}
	if err := open("alice"); proxy.LimitOf(err) != proxy.LimitOfUser || !strings.Contains(err.Error(), "limit of connections of this user") {
		t.Errorf("the client does not name the limit: %v", err)
	}
	waitLive(t, conc.Table(), 3)
	conc.Table().StopWhere(func(c *serve.Connection) bool { return c.User == "bob" })
	waitLive(t, conc.Table(), 1)
	Eventually(t, "bob has room again", func() bool { return open("bob") == nil })
}

// TestFailedDialGivesBack checks that nothing is left of connections that failed.
func TestFailedDialGivesBack(t *testing.T) {
	conc, at := startConcentrator(t, func(c *egress.Config) { c.MaxConnections, c.MaxConnectionsPerUser = 2, 1 })
	closed := UnusedPort(t)
	up := upstreamTo(at.Addr, nil)
	for range 5 {
		Eventually(t, "the destination refuses", func() bool {
			_, err := up.OpenStream(Within(t), &proxy.Flow{To: To(closed)})
			return proxy.OutcomeOf(err) == proxy.ConnectionRefused
		})
	}
	Eventually(t, "nothing is opening, and the places are free", func() bool { return conc.Table().Opening()+conc.InUse() == 0 })
}

func TestFrontFull(t *testing.T) {
	dest := StartDestination(t, Hold)
	_, at := startConcentrator(t, nil)
	front, f := startFront(t, upstreamTo(at.Addr, nil), func(c *front.Config) { c.MaxConnections = 1 })
	first := DialPlain(t, f.Addr)
	if r := Ask(t, first, ConnectAddr(dest)); r != proxy.Succeeded {
		t.Fatal(r)
	}
	if r := Ask(t, DialPlain(t, f.Addr), ConnectAddr(dest)); r != proxy.GeneralFailure {
		t.Errorf("beyond the limit: %v", r)
	}
	if n := front.Table().Totals.Refused.Load(); n != 1 {
		t.Errorf("%d refused", n)
	}
}

func TestPortInUse(t *testing.T) {
	_, at := startConcentrator(t, nil)
	cfg := concentratorConfig()
	cfg.Listen = []netip.AddrPort{AnyPort, at.Addr}
	if err := egress.New(cfg).Run(Within(t)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("concentrator: %v", err)
	}
	err := front.New(front.Config{
		WaysIn:  []ingress.WayIn{socks5.WayIn{Addrs: cfg.Listen, Auth: Alice}},
		Session: upstreamTo(V4, nil), MaxConnections: 1,
	}).Run(Within(t))
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("front: %v", err)
	}
}

// TestSlowHandshake checks that peers that say nothing, or not all, are cut.
func TestSlowHandshake(t *testing.T) {
	const soon = 30 * time.Millisecond
	dest := StartDestination(t, Hold)
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.HandshakeTimeout = soon })
		front, f := startFront(t, upstreamTo(at.Addr, l.up), func(c *front.Config) { c.HandshakeTimeout = soon })
		for _, addr := range []netip.AddrPort{at.Addr, f.Addr} {
			for _, sent := range [][]byte{nil, {5}, {5, 1}, {22, 3}} {
				c := DialPlain(t, addr)
				_, err := c.Write(sent)
				Must(t, err)
				_, err = io.Copy(io.Discard, c)
				if errors.Is(err, syscall.ECONNRESET) {
					err = nil
				}
				Must(t, err)
			}
		}
		Eventually(t, "the slots are given back", func() bool { return conc.InUse()+front.InUse() == 0 })
		// The deadline is the handshake's, not the connection's.
		c := DialPlain(t, f.Addr)
		if r := Ask(t, c, ConnectAddr(dest)); r != proxy.Succeeded {
			t.Fatal(r)
		}
		Must(t, c.SetReadDeadline(time.Now().Add(3*soon)))
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("an idle connection: %v", err)
		}
	})
}

// TestApplicationLeaves checks that the dial of an application that went away is
// given up on both sides.
func TestApplicationLeaves(t *testing.T) {
	dest := DeadPort(t, "127.0.0.1")
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		front, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		for _, leave := range []func(c *net.TCPConn){
			func(c *net.TCPConn) { _ = c.Close() },
			func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		} {
			c := DialPlain(t, f.Addr)
			_, err := c.Write(Join(GreetNone(), ConnectAddr(dest)))
			Must(t, err)
			Eventually(t, "the concentrator dials", func() bool { return conc.Table().Opening() == 1 })
			leave(c)
			Eventually(t, "both have given up", func() bool { return conc.InUse()+front.InUse() == 0 })
		}
		if n := front.Table().Totals.Failed.Load() + conc.Table().Totals.Failed.Load(); n != 0 {
			t.Errorf("%d counted as failures", n)
		}
	})
}

func TestUserRemoved(t *testing.T) {
	dest, slow := StartDestination(t, Hold), DeadPort(t, "127.0.0.1")
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, l.up)
		live, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)})
		Must(t, err)
		defer live.Stream.Close()
		other, err := upstreamTo(at.Addr, func(c *leg.Config) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "bob", "token" }
		}).OpenStream(Within(t), &proxy.Flow{To: To(dest)})
		Must(t, err)
		defer other.Stream.Close()
		failed := make(chan error, 1)
		go func() { _, err := up.OpenStream(Within(t), &proxy.Flow{To: To(slow)}); failed <- err }()
		Eventually(t, "all are there", func() bool { return conc.Table().Len() == 2 && conc.Table().Opening() == 1 })

		if n := conc.Table().StopWhere(func(c *serve.Connection) bool { return c.User == "alice" }); n != 2 {
			t.Errorf("%d ended, want the live one and the one that dials", n)
		}
		if err := Await(t, "the end of the dial", failed); err == nil {
			t.Error("the dial went on")
		}
		Must(t, live.Conn.SetDeadline(time.Now().Add(Patience)))
		if _, err := live.Stream.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the removed user's connection: %v, want a reset", err)
		}
		if left := waitLive(t, conc.Table(), 1); left[0].User != "bob" {
			t.Errorf("left: %+v", left[0])
		}
	})
}

// TestDrain checks that a stop accepts nothing more, waits for live connections,
// and ends them when Abort is called or the time is over.
func TestDrain(t *testing.T) {
	dest := StartDestination(t, Echo)
	for _, tt := range []struct {
		name  string
		drain time.Duration
		end   func(*egress.Concentrator, *leg.Leg)
	}{
		{"they end", Patience, func(_ *egress.Concentrator, l *leg.Leg) { Exchange(t, l.Stream, "bye"); _ = l.Stream.Close() }},
		{"abort", time.Hour, func(c *egress.Concentrator, _ *leg.Leg) { c.Abort() }},
		{"time", 20 * time.Millisecond, func(*egress.Concentrator, *leg.Leg) {}},
		{"no time", 0, func(*egress.Concentrator, *leg.Leg) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conc, at := startConcentrator(t, func(c *egress.Config) { c.DrainTimeout = tt.drain })
			up := upstreamTo(at.Addr, nil)
			l, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest)})
			Must(t, err)
			defer l.Conn.Close()
			waitLive(t, conc.Table(), 1)
			at.Stop()
			Eventually(t, "nothing is accepted any more", func() bool { return errors.Is(up.Check(Within(t), ""), leg.ErrUnreachable) })
			if tt.drain >= Patience {
				select {
				case err := <-at.Done:
					t.Fatal("it did not wait: ", err)
				default:
				}
			}
			tt.end(conc, l)
			Must(t, Await(t, "the end of Run", at.Done))
			if n := conc.Table().Len(); n != 0 {
				t.Errorf("%d connections left", n)
			}
		})
	}
}

// TestStopDuringHandshake checks that a stop without a drain time does not wait
// for peers that say nothing, nor for a delay after a failure.
func TestStopDuringHandshake(t *testing.T) {
	asked := make(chan struct{}, 1)
	conc, at := startConcentrator(t, func(c *egress.Config) {
		c.Auth, c.AuthFailureDelay, c.HandshakeTimeout = askedAuth{Alice, asked}, time.Hour, time.Hour
	})
	DialPlain(t, at.Addr)
	c := DialPlain(t, at.Addr)
	_, err := c.Write(GreetUser("alice", "wrong"))
	Must(t, err)
	Await(t, "the failure", asked)
	Eventually(t, "both are there", func() bool { return conc.InUse() == 2 })
	at.Stop()
	Must(t, Await(t, "the end of Run", at.Done))
}

// askedAuth tells when it was asked.
type askedAuth struct {
	Auth
	asked chan<- struct{}
}

func (a askedAuth) Authenticate(ctx context.Context, user, password string) (proxy.Identity, error) {
	a.asked <- struct{}{}
	return a.Auth.Authenticate(ctx, user, password)
}

func TestIdleTimeoutReachesRelay(t *testing.T) {
	dest := StartDestination(t, Hold)
	conc, at := startConcentrator(t, func(c *egress.Config) { c.Relay = relay.Config{IdleTimeout: 20 * time.Millisecond} })
	l, err := upstreamTo(at.Addr, nil).OpenStream(Within(t), &proxy.Flow{To: To(dest)})
	Must(t, err)
	defer l.Stream.Close()
	Eventually(t, "it is ended", func() bool { return conc.Table().Totals.Opened.Load() == 1 && conc.Table().Len() == 0 })
}
