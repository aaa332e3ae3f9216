package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mpproxy/proxy/relay"
)

func replyOf(err error) Reply { return replyFor(err) }

func TestConcentratorFull(t *testing.T) {
	dest := startDestination(t, hold)
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, func(c *ConcentratorConfig) { l.conc(c); c.MaxConnections = 2 })
		up := upstreamTo(at.addr, l.up)
		var open []*Leg
		for range 2 {
			got, err := up.Open(within(t), Stream{Destination: to(dest)})
			must(t, err)
			open = append(open, got)
		}
		if _, err := up.Open(within(t), Stream{Destination: to(dest)}); replyOf(err) != ReplyGeneralFailure {
			t.Errorf("beyond the limit: %v", err)
		}
		if n := conc.Table().Totals.Refused.Load(); n != 1 {
			t.Errorf("%d refused", n)
		}
		must(t, open[0].Stream.Close())
		eventually(t, "there is room again", func() bool {
			got, err := up.Open(within(t), Stream{Destination: to(dest)})
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
	dest := startDestination(t, hold)
	conc, at := startConcentrator(t, func(c *ConcentratorConfig) {
		c.MaxConnectionsPerUser = 1
		c.UserLimit = func(user string) int { return map[string]int{"bob": 2}[user] }
	})
	open := func(user string) error {
		up := upstreamTo(at.addr, func(c *UpstreamConfig) {
			c.Credentials = func(string) (string, string) { return user, "token" }
		})
		got, err := up.Open(within(t), Stream{Destination: to(dest)})
		if err == nil {
			t.Cleanup(func() { _ = got.Stream.Close() })
		}
		return err
	}
	for _, tt := range []struct {
		user string
		want Reply
	}{
		{"alice", ReplySucceeded},
		{"alice", ReplyNotAllowed},
		{"bob", ReplySucceeded},
		{"bob+handover", ReplySucceeded}, // the mode makes nobody another user
		{"bob", ReplyNotAllowed},
		{"alice", ReplyNotAllowed},
	} {
		if got := replyOf(open(tt.user)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.user, got, tt.want)
		}
	}
	waitLive(t, conc.Table(), 3)
	conc.Table().StopWhere(func(c *Connection) bool { return c.User == "bob" })
	waitLive(t, conc.Table(), 1)
	eventually(t, "bob has room again", func() bool { return open("bob") == nil })
}

// TestFailedDialGivesBack checks that nothing is left of connections that failed.
func TestFailedDialGivesBack(t *testing.T) {
	conc, at := startConcentrator(t, func(c *ConcentratorConfig) { c.MaxConnections, c.MaxConnectionsPerUser = 2, 1 })
	closed := unusedPort(t)
	up := upstreamTo(at.addr, nil)
	for range 5 {
		eventually(t, "the destination refuses", func() bool {
			_, err := up.Open(within(t), Stream{Destination: to(closed)})
			return replyOf(err) == ReplyConnectionRefused
		})
	}
	conc.Table().mu.Lock()
	defer conc.Table().mu.Unlock()
	if len(conc.Table().users) > 1 || len(conc.Table().opening) > 1 {
		t.Errorf("users %v, opening %v", conc.Table().users, conc.Table().opening)
	}
}

func TestFrontFull(t *testing.T) {
	dest := startDestination(t, hold)
	_, at := startConcentrator(t, nil)
	front, f := startFront(t, upstreamTo(at.addr, nil), func(c *FrontConfig) { c.MaxConnections = 1 })
	first := dialPlain(t, f.addr)
	if r := ask(t, first, connectAddr(dest)); r != ReplySucceeded {
		t.Fatal(r)
	}
	if r := ask(t, dialPlain(t, f.addr), connectAddr(dest)); r != ReplyGeneralFailure {
		t.Errorf("beyond the limit: %v", r)
	}
	if n := front.Table().Totals.Refused.Load(); n != 1 {
		t.Errorf("%d refused", n)
	}
}

// TestRefusalsAreBounded checks that connections beyond the limit and beyond the
// slots for saying so are closed at once.
func TestRefusalsAreBounded(t *testing.T) {
	s := newService(nil, 1, 0)
	var releases []func()
	var fulls, drops int
	handled := make(chan func(), 100)
	full := make(chan bool, 100)
	for range 1 + refusalSlots + 3 {
		s.admit(func() error { drops++; return nil }, func(f bool, release func()) { full <- f; handled <- release })
	}
	for range 1 + refusalSlots {
		if await(t, "a handler", full) {
			fulls++
		}
		releases = append(releases, await(t, "a handler", handled))
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
	s := newService(nil, 10, 0)
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
	serve := func(c net.Conn, _ bool, release func()) { _ = c.Close(); release() }
	must(t, acceptLoop(within(t), s, accept, serve))
	s.wg.Wait()
	close(peers)
	for range peers {
		served++
	}
	if served != 2 || len(steps) != 0 {
		t.Errorf("%d served, steps left %v", served, steps)
	}
}

// TestAcceptLoopStops checks that the pause after an error does not hold up the
// end.
func TestAcceptLoopStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	accept := func() (net.Conn, error) { return nil, syscall.EMFILE }
	must(t, acceptLoop(ctx, newService(nil, 1, 0), accept, func(net.Conn, bool, func()) { t.Error("served") }))
}

func TestPortInUse(t *testing.T) {
	_, at := startConcentrator(t, nil)
	cfg := concentratorConfig()
	cfg.Listen = []netip.AddrPort{anyPort, at.addr}
	if err := NewConcentrator(cfg).Run(within(t)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("concentrator: %v", err)
	}
	err := NewFront(FrontConfig{Listen: cfg.Listen, Auth: alice, MaxConnections: 1}).Run(within(t))
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("front: %v", err)
	}
}

// TestSlowHandshake checks that peers that say nothing, or not all, are cut.
func TestSlowHandshake(t *testing.T) {
	const soon = 30 * time.Millisecond
	dest := startDestination(t, hold)
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, func(c *ConcentratorConfig) { l.conc(c); c.HandshakeTimeout = soon })
		front, f := startFront(t, upstreamTo(at.addr, l.up), func(c *FrontConfig) { c.HandshakeTimeout = soon })
		for _, addr := range []netip.AddrPort{at.addr, f.addr} {
			for _, sent := range [][]byte{nil, {5}, {5, 1}, {22, 3}} {
				c := dialPlain(t, addr)
				_, err := c.Write(sent)
				must(t, err)
				_, err = io.Copy(io.Discard, c)
				if errors.Is(err, syscall.ECONNRESET) {
					err = nil
				}
				must(t, err)
			}
		}
		eventually(t, "the slots are given back", func() bool { return len(conc.limit)+len(front.limit) == 0 })
		// The deadline is the handshake's, not the connection's.
		c := dialPlain(t, f.addr)
		if r := ask(t, c, connectAddr(dest)); r != ReplySucceeded {
			t.Fatal(r)
		}
		must(t, c.SetReadDeadline(time.Now().Add(3*soon)))
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("an idle connection: %v", err)
		}
	})
}

// TestApplicationLeaves checks that the dial of an application that went away is
// given up on both sides.
func TestApplicationLeaves(t *testing.T) {
	dest := silent(t, "127.0.0.1")
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		front, f := startFront(t, upstreamTo(at.addr, l.up), nil)
		for _, leave := range []func(c *net.TCPConn){
			func(c *net.TCPConn) { _ = c.Close() },
			func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		} {
			c := dialPlain(t, f.addr)
			_, err := c.Write(join(greetNone(), connectAddr(dest)))
			must(t, err)
			eventually(t, "the concentrator dials", func() bool { return openingIn(conc.Table()) == 1 })
			leave(c)
			eventually(t, "both have given up", func() bool { return len(conc.limit)+len(front.limit) == 0 })
		}
		if n := front.Table().Totals.Failed.Load() + conc.Table().Totals.Failed.Load(); n != 0 {
			t.Errorf("%d counted as failures", n)
		}
	})
}

func openingIn(t *Table) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.opening)
}

func TestUserRemoved(t *testing.T) {
	dest, slow := startDestination(t, hold), silent(t, "127.0.0.1")
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, l.up)
		live, err := up.Open(within(t), Stream{Destination: to(dest)})
		must(t, err)
		defer live.Stream.Close()
		other, err := upstreamTo(at.addr, func(c *UpstreamConfig) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "bob", "token" }
		}).Open(within(t), Stream{Destination: to(dest)})
		must(t, err)
		defer other.Stream.Close()
		failed := make(chan error, 1)
		go func() { _, err := up.Open(within(t), Stream{Destination: to(slow)}); failed <- err }()
		eventually(t, "all are there", func() bool { return conc.Table().Len() == 2 && openingIn(conc.Table()) == 1 })

		if n := conc.Table().StopWhere(func(c *Connection) bool { return c.User == "alice" }); n != 2 {
			t.Errorf("%d ended, want the live one and the one that dials", n)
		}
		if err := await(t, "the end of the dial", failed); err == nil {
			t.Error("the dial went on")
		}
		must(t, live.Conn.SetDeadline(time.Now().Add(patience)))
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
	dest := startDestination(t, echo)
	for _, tt := range []struct {
		name  string
		drain time.Duration
		end   func(*Concentrator, *Leg)
	}{
		{"they end", patience, func(_ *Concentrator, l *Leg) { exchange(t, l.Stream, "bye"); _ = l.Stream.Close() }},
		{"abort", time.Hour, func(c *Concentrator, _ *Leg) { c.Abort() }},
		{"time", 20 * time.Millisecond, func(*Concentrator, *Leg) {}},
		{"no time", 0, func(*Concentrator, *Leg) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conc, at := startConcentrator(t, func(c *ConcentratorConfig) { c.DrainTimeout = tt.drain })
			up := upstreamTo(at.addr, nil)
			l, err := up.Open(within(t), Stream{Destination: to(dest)})
			must(t, err)
			defer l.Conn.Close()
			waitLive(t, conc.Table(), 1)
			at.stop()
			eventually(t, "nothing is accepted any more", func() bool { return errors.Is(up.Check(within(t), ""), ErrUnreachable) })
			if tt.drain >= patience {
				select {
				case err := <-at.done:
					t.Fatal("it did not wait: ", err)
				default:
				}
			}
			tt.end(conc, l)
			must(t, await(t, "the end of Run", at.done))
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
	conc, at := startConcentrator(t, func(c *ConcentratorConfig) {
		c.Auth, c.AuthFailureDelay, c.HandshakeTimeout = askedAuth{alice, asked}, time.Hour, time.Hour
	})
	dialPlain(t, at.addr)
	c := dialPlain(t, at.addr)
	_, err := c.Write(greetUser("alice", "wrong"))
	must(t, err)
	await(t, "the failure", asked)
	eventually(t, "both are there", func() bool { return len(conc.limit) == 2 })
	at.stop()
	must(t, await(t, "the end of Run", at.done))
}

// askedAuth tells when it was asked.
type askedAuth struct {
	testAuth
	asked chan<- struct{}
}

func (a askedAuth) Authenticate(user, password string) (Identity, error) {
	a.asked <- struct{}{}
	return a.testAuth.Authenticate(user, password)
}

func TestIdleTimeoutReachesRelay(t *testing.T) {
	dest := startDestination(t, hold)
	conc, at := startConcentrator(t, func(c *ConcentratorConfig) { c.Relay = relay.Config{IdleTimeout: 20 * time.Millisecond} })
	l, err := upstreamTo(at.addr, nil).Open(within(t), Stream{Destination: to(dest)})
	must(t, err)
	defer l.Stream.Close()
	eventually(t, "it is ended", func() bool { return conc.Table().Totals.Opened.Load() == 1 && conc.Table().Len() == 0 })
}

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
		{"half-closes without a word", false, func(c *net.TCPConn) { _ = c.CloseWrite() }, true},
		{"resets", false, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, true},
		{"half-closes behind data", false, func(c *net.TCPConn) { _, _ = c.Write([]byte{1}); _ = c.CloseWrite() }, false},
		{"half-closes behind data read before", true, func(c *net.TCPConn) { _ = c.CloseWrite() }, false},
		{"sends and resets", false, func(c *net.TCPConn) { _, _ = c.Write([]byte{1}); _ = c.SetLinger(0); _ = c.Close() }, true},
		{"resets after data read before", true, func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peers := make(chan *net.TCPConn, 1)
			done := make(chan struct{})
			at := startDestination(t, func(c *net.TCPConn) { peers <- c; <-done })
			defer close(done)
			c := dialPlain(t, at)
			peer := await(t, "the peer", peers)
			gone := make(chan struct{})
			var calls atomic.Int32
			stop := watchPeer(peer, tt.spoke, func() { calls.Add(1); close(gone) })
			tt.do(c)
			if tt.gone {
				await(t, "it is noticed", gone)
			} else {
				_, err := peer.Write([]byte{2}) // still works
				must(t, err)
			}
			stop()
			if got := calls.Load() == 1; got != tt.gone {
				t.Errorf("gone: %v, want %v", got, tt.gone)
			}
			if tt.gone {
				return
			}
			// What was sent is still there, and no deadline is left.
			must(t, c.CloseWrite())
			if _, err := io.ReadAll(peer); err != nil {
				t.Error(err)
			}
		})
	}
}
