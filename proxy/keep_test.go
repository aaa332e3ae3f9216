package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

// onKept runs f over legs that are kept.
func onKept(t *testing.T, f func(t *testing.T, l setup)) {
	for _, l := range setups(t) {
		if strings.HasSuffix(l.name, "kept") {
			t.Run(l.name, func(t *testing.T) { f(t, l) })
		}
	}
}

// askFor asks for one thing through a front.
func askFor(t *testing.T, front, dest netip.AddrPort, mode, say string) string {
	t.Helper()
	c := DialPlain(t, front)
	defer c.Close()
	_, err := c.Write(Join(GreetUser("x+"+mode, ""), ConnectAddr(dest)))
	Must(t, err)
	if r := ReadAnswer(t, c, []byte{5, 2, 1, 0}); r != proxy.Succeeded {
		t.Fatal(r)
	}
	return Exchange(t, c, say)
}

// legLog is an Observer that keeps what it is told.
type legLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *legLog) note(what, mode string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(what+" "+mode))
}

func (l *legLog) Opened(_ uapi.Token, _ *mptcpsock.Conn, f *proxy.Flow) { l.note("opened", f.How.Mode) }

func (l *legLog) Carries(_ uapi.Token, f *proxy.Flow) { l.note("carries", f.How.Mode) }
func (l *legLog) Closed(uapi.Token)                   { l.note("closed", "") }

func (l *legLog) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// TestLegIsReused: streams of the same mode follow one another on a leg, which
// the observers of both ends are told of, and which goes when the front does.
func TestLegIsReused(t *testing.T) {
	dest, other := StartDestination(t, Echo), StartDestination(t, Echo)
	onKept(t, func(t *testing.T, l setup) {
		atClient, atServer := new(legLog), new(legLog)
		conc, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.Observer = atServer })
		up := upstreamTo(at.Addr, func(c *leg.Config) { l.up(c); c.Observer = atClient })
		front, f := startFront(t, up, nil)
		for i, step := range []struct {
			to        netip.AddrPort
			mode, say string
			idle      int // legs that wait afterwards
		}{
			{dest, "handover", "first", 1},
			{other, "handover", "", 1},
			{other, "handover", strings.Repeat("third ", 20_000), 1},
			{dest, "lazy", "another mode", 2},
			{dest, "handover", strings.Repeat("too much to be kept ", 20_000), 1},
			{dest, "handover", "a new leg", 2},
		} {
			if got := askFor(t, f.Addr, step.to, step.mode, step.say); got != step.say {
				t.Fatalf("stream %d: got %d bytes of %d", i, len(got), len(step.say))
			}
			Eventually(t, "the tables are empty, and the leg waits", func() bool {
				return front.Table().Len()+conc.Table().Len() == 0 && up.Idle() == step.idle && conc.Resting() == step.idle
			})
		}
		if a, b := front.Table().Totals.Reused.Load(), conc.Table().Totals.Reused.Load(); a != 3 || b != 3 {
			t.Errorf("%d and %d streams on used legs", a, b)
		}
		f.Stop()
		Await(t, "the end of Run", f.Done)
		Eventually(t, "the concentrator has seen the ends", func() bool { return conc.Resting() == 0 })
		want := []string{"carries handover", "carries handover", "closed", "closed", "closed", "opened handover", "opened handover", "opened lazy"}
		Eventually(t, "the observers have been told", func() bool {
			a, b := atClient.got(), atServer.got()
			slices.Sort(a)
			slices.Sort(b)
			return slices.Equal(a, want) && slices.Equal(b, want)
		})
	})
}

// TestEndIsTold: a destination that ends first hears of the application's end, though
// the leg is kept, and when the client stops.
func TestEndIsTold(t *testing.T) {
	ends := make(chan error, 1)
	dest := StartDestination(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("answer"))
		_ = c.CloseWrite()
		_, err := io.Copy(io.Discard, c)
		ends <- err
	})
	onKept(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, l.up)
		front, f := startFront(t, up, nil)
		for _, stop := range []bool{false, true} {
			app := DialPlain(t, f.Addr)
			_, err := app.Write(Join(GreetUser("x+handover", ""), ConnectAddr(dest)))
			Must(t, err)
			if r := ReadAnswer(t, app, []byte{5, 2, 1, 0}); r != proxy.Succeeded {
				t.Fatal(r)
			}
			if got, err := io.ReadAll(app); string(got) != "answer" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			Must(t, app.Close())
			if stop {
				Eventually(t, "the leg waits", func() bool { return front.Table().Len() == 0 })
				f.Stop()
			}
			if err := Await(t, "the destination has seen the end", ends); err != nil {
				t.Error(err)
			}
		}
		Eventually(t, "nothing is left", func() bool { return conc.Table().Len() == 0 && conc.Resting() == 0 })
	})
}

// TestKeptLegDied: a leg that the concentrator has closed meanwhile costs a
// stream nothing but a new leg.
func TestKeptLegDied(t *testing.T) {
	dest := StartDestination(t, Echo)
	onKept(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, l.up)
		_, f := startFront(t, up, nil)
		for range 3 {
			if got := askFor(t, f.Addr, dest, "handover", "question"); got != "question" {
				t.Fatalf("got %q", got)
			}
			Eventually(t, "the leg waits", func() bool { return conc.Resting() == 1 && up.Idle() == 1 })
			if n := conc.Table().StopWhere(func(c *serve.Connection) bool { return c.User == "alice" }); n != 1 {
				t.Fatalf("%d connections of the user stopped", n)
			}
			Eventually(t, "it is gone", func() bool { return conc.Resting() == 0 })
		}
		if n := conc.Table().Totals.Reused.Load(); n != 0 {
			t.Errorf("%d streams on dead legs", n)
		}
	})
}

// TestBytesAheadOfTheAnswer: frames begin behind the answer.
func TestBytesAheadOfTheAnswer(t *testing.T) {
	dest := StartDestination(t, Hold)
	_, at := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = 1 })
	c := DialPlain(t, at.Addr)
	flight := socks.Credentials{User: "alice", Password: "token", Frames: true}.Flight(To(dest))
	_, err := c.Write(append(flight, 0, 1, 'x'))
	Must(t, err)
	if got, err := io.ReadAll(c); err == nil && len(got) > 4 {
		t.Errorf("answered % x", got)
	}
}

// TestPlainPeerOfAKeepingConcentrator: any SOCKS5 client gets the plain protocol.
func TestPlainPeerOfAKeepingConcentrator(t *testing.T) {
	dest := StartDestination(t, Echo)
	_, at := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = 1 })
	c := DialPlain(t, at.Addr)
	_, err := c.Write(Join(GreetUser("alice", "token"), ConnectAddr(dest)))
	Must(t, err)
	if r := ReadAnswer(t, c, []byte{5, 2, 1, 0}); r != proxy.Succeeded {
		t.Fatal(r)
	}
	if got := Exchange(t, c, "question"); got != "question" {
		t.Errorf("got %q", got)
	}
}

// TestKeepingClientOfAPlainConcentrator: and any SOCKS5 server serves.
func TestKeepingClientOfAPlainConcentrator(t *testing.T) {
	dest := StartDestination(t, Echo)
	_, at := startConcentrator(t, nil)
	up := upstreamTo(at.Addr, func(c *leg.Config) { c.IdleLegs = 4 })
	_, f := startFront(t, up, nil)
	for range 2 {
		if got := askFor(t, f.Addr, dest, "handover", "question"); got != "question" {
			t.Errorf("got %q", got)
		}
	}
	if n := up.Idle(); n != 0 {
		t.Errorf("%d legs are kept", n)
	}
}

// TestRefusalOnKeptLeg: what the concentrator answers to a further request is
// what the application hears.
func TestRefusalOnKeptLeg(t *testing.T) {
	dest, closed := StartDestination(t, Echo), UnusedPort(t)
	onKept(t, func(t *testing.T, way setup) {
		conc, at := startConcentrator(t, way.conc)
		up := upstreamTo(at.Addr, way.up)
		s := &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}}
		kept := openAndKeep(t, up, s)
		Eventually(t, "the leg waits", func() bool { return conc.Resting() == 1 })
		s.To = To(closed)
		if _, err := up.OpenStream(Within(t), s); proxy.OutcomeOf(err) != proxy.ConnectionRefused {
			t.Errorf("got %v", err)
		}
		if _, err := kept.Conn.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the leg: %v", err)
		}
		if h := up.Health(); h.State != leg.ServerOK {
			t.Errorf("health %+v", h)
		}
		Eventually(t, "nothing waits", func() bool { return conc.Resting()+conc.Table().Len() == 0 })
	})
}

// openAndKeep carries one stream on a new leg, which waits afterwards.
func openAndKeep(t *testing.T, up *leg.Session, f *proxy.Flow) *leg.Leg {
	t.Helper()
	l, err := up.OpenStream(Within(t), f)
	Must(t, err)
	if got := Exchange(t, l.Stream, "question"); got != "question" {
		t.Fatalf("got %q", got)
	}
	up.Finished(l, true)
	if up.Idle() != 1 {
		t.Fatal("the leg is not kept")
	}
	return l
}

// TestKeptLegOfAnotherPath: a leg that began on another path than a new one would
// is not used.
func TestKeptLegOfAnotherPath(t *testing.T) {
	dest := StartDestination(t, Echo)
	_, at := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = 4 })
	ways := &changingPaths{ways: []leg.Candidate{{Path: "dsl"}, {Path: "lte"}}}
	up := upstreamTo(at.Addr, func(c *leg.Config) { c.IdleLegs, c.Paths = 4, leg.NewRanking(ways, nil, nil) })
	s := &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}}
	for i, step := range []struct {
		ways   []leg.Candidate
		path   string
		reused bool
	}{
		{ways.ways, "dsl", false},
		{ways.ways, "dsl", true},
		{[]leg.Candidate{{Path: "dsl", Troubled: true}, {Path: "lte"}}, "lte", false},
		{[]leg.Candidate{{Path: "lte"}}, "lte", true},
		{[]leg.Candidate{{Path: "dsl"}, {Path: "lte"}}, "dsl", false},
	} {
		ways.ways = step.ways
		l, err := up.OpenStream(Within(t), s)
		Must(t, err)
		if l.Path != step.path || l.Reused != step.reused {
			t.Errorf("step %d: on %s, reused %v", i, l.Path, l.Reused)
		}
		Exchange(t, l.Stream, "question")
		up.Finished(l, true)
	}
	up.Close()
}

type changingPaths struct{ ways []leg.Candidate }

func (p *changingPaths) Candidates() []leg.Candidate { return p.ways }

// TestLeaveSubflows: whoever decides about subflows at the concentrator learns what the
// client's greeting says of them, whatever mode the user name asks for.
func TestLeaveSubflows(t *testing.T) {
	dest := StartDestination(t, Echo)
	for _, alone := range []bool{false, true} {
		seen := make(legFlows, 1)
		_, at := startConcentrator(t, func(c *egress.Config) { c.Observer = seen })
		up := upstreamTo(at.Addr, func(c *leg.Config) { c.LeaveSubflows = func() bool { return alone } })
		l, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}})
		Must(t, err)
		if f := Await(t, "the leg is told of", seen); f.Who.LeaveSubflows != alone || f.How.Mode != "handover" {
			t.Errorf("asked to leave them alone: %v, told %+v", alone, f)
		}
		l.Close()
	}
}

// legFlows is an Observer that hands on what legs begin with.
type legFlows chan *proxy.Flow

func (l legFlows) Opened(_ uapi.Token, _ *mptcpsock.Conn, f *proxy.Flow) { l <- f }
func (l legFlows) Carries(uapi.Token, *proxy.Flow)                       {}
func (l legFlows) Closed(uapi.Token)                                     {}
