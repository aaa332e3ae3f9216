package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/proxy/relay"
)

// onKept runs f over legs that are kept.
func onKept(t *testing.T, f func(t *testing.T, l leg)) {
	for _, l := range legs(t) {
		if strings.HasSuffix(l.name, "kept") {
			t.Run(l.name, func(t *testing.T) { f(t, l) })
		}
	}
}

// askFor asks for one thing through a front.
func askFor(t *testing.T, front, dest netip.AddrPort, mode, say string) string {
	t.Helper()
	c := dialPlain(t, front)
	defer c.Close()
	_, err := c.Write(join(greetUser("x+"+mode, ""), connectAddr(dest)))
	must(t, err)
	if r := readAnswer(t, c, []byte{5, 2, 1, 0}); r != ReplySucceeded {
		t.Fatal(r)
	}
	return exchange(t, c, say)
}

// legLog is an Observer that keeps what it is told.
type legLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *legLog) note(what string, s Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(what+" "+s.Mode))
}

func (l *legLog) Opened(_ uapi.Token, _ *mptcpsock.Conn, s Stream) { l.note("opened", s) }
func (l *legLog) Carries(_ uapi.Token, s Stream)                   { l.note("carries", s) }
func (l *legLog) Closed(uapi.Token)                                { l.note("closed", Stream{}) }

func (l *legLog) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// TestLegIsReused: streams of the same mode follow one another on a leg, which
// the observers of both ends are told of, and which goes when the front does.
func TestLegIsReused(t *testing.T) {
	dest, other := startDestination(t, echo), startDestination(t, echo)
	onKept(t, func(t *testing.T, l leg) {
		atClient, atServer := new(legLog), new(legLog)
		conc, at := startConcentrator(t, func(c *ConcentratorConfig) { l.conc(c); c.Observer = atServer })
		up := upstreamTo(at.addr, func(c *UpstreamConfig) { l.up(c); c.Observer = atClient })
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
			if got := askFor(t, f.addr, step.to, step.mode, step.say); got != step.say {
				t.Fatalf("stream %d: got %d bytes of %d", i, len(got), len(step.say))
			}
			eventually(t, "the tables are empty, and the leg waits", func() bool {
				return front.Table().Len()+conc.Table().Len() == 0 && up.idle.len() == step.idle && len(conc.resters) == step.idle
			})
		}
		if a, b := front.Table().Totals.Reused.Load(), conc.Table().Totals.Reused.Load(); a != 3 || b != 3 {
			t.Errorf("%d and %d streams on used legs", a, b)
		}
		f.stop()
		await(t, "the end of Run", f.done)
		eventually(t, "the concentrator has seen the ends", func() bool { return len(conc.resters) == 0 })
		want := []string{"carries handover", "carries handover", "closed", "closed", "closed", "opened handover", "opened handover", "opened lazy"}
		eventually(t, "the observers have been told", func() bool {
			a, b := atClient.got(), atServer.got()
			slices.Sort(a)
			slices.Sort(b)
			return slices.Equal(a, want) && slices.Equal(b, want)
		})
	})
}

// TestHeldEndIsSettled: a destination that ends first hears of the application's end
// soon, though no request follows that it could go with, and when the client stops.
func TestHeldEndIsSettled(t *testing.T) {
	ends := make(chan error, 1)
	dest := startDestination(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("answer"))
		_ = c.CloseWrite()
		_, err := io.Copy(io.Discard, c)
		ends <- err
	})
	onKept(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, l.up)
		front, f := startFront(t, up, nil)
		for _, stop := range []bool{false, true} {
			app := dialPlain(t, f.addr)
			_, err := app.Write(join(greetUser("x+handover", ""), connectAddr(dest)))
			must(t, err)
			if r := readAnswer(t, app, []byte{5, 2, 1, 0}); r != ReplySucceeded {
				t.Fatal(r)
			}
			if got, err := io.ReadAll(app); string(got) != "answer" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			must(t, app.Close())
			if stop {
				eventually(t, "the leg waits", func() bool { return front.Table().Len() == 0 })
				f.stop()
			}
			if err := await(t, "the destination has seen the end", ends); err != nil {
				t.Error(err)
			}
		}
		eventually(t, "nothing is left", func() bool { return conc.Table().Len() == 0 && len(conc.resters) == 0 })
	})
}

// TestKeptLegDied: a leg that the concentrator has closed meanwhile costs a
// stream nothing but a new leg.
func TestKeptLegDied(t *testing.T) {
	dest := startDestination(t, echo)
	onKept(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, l.up)
		_, f := startFront(t, up, nil)
		for range 3 {
			if got := askFor(t, f.addr, dest, "handover", "question"); got != "question" {
				t.Fatalf("got %q", got)
			}
			eventually(t, "the leg waits", func() bool { return len(conc.resters) == 1 && up.idle.len() == 1 })
			if n := conc.Table().StopWhere(func(c *Connection) bool { return c.User == "alice" }); n != 1 {
				t.Fatalf("%d connections of the user stopped", n)
			}
			eventually(t, "it is gone", func() bool { return len(conc.resters) == 0 })
		}
		if n := conc.Table().Totals.Reused.Load(); n != 0 {
			t.Errorf("%d streams on dead legs", n)
		}
	})
}

// TestKeptLegLeadsNowhere: a request that nothing acknowledges is asked again
// elsewhere.
func TestKeptLegLeadsNowhere(t *testing.T) {
	dest := startDestination(t, echo)
	_, at := startConcentrator(t, func(c *ConcentratorConfig) { c.IdleLegs = 4 })
	up := upstreamTo(at.addr, func(c *UpstreamConfig) { c.IdleLegs = 4 })
	s := Stream{Destination: to(dest), Choice: Choice{Mode: "handover"}}
	// A peer that takes no byte more: its buffer is full, and it does not read.
	stuck := dialStuck(t)
	framed := relay.NewFramed(stuck)
	up.idle.put(&Leg{Stream: framed, below: stuck, framed: framed, Conn: stuck, key: keyOf(up.credentials(s.Mode), s.Choice)})
	leg, err := up.Open(within(t), s)
	must(t, err)
	defer leg.Close()
	if leg.Reused {
		t.Error("the answer came on a leg that leads nowhere")
	}
	must(t, leg.Conn.SetDeadline(time.Now().Add(patience)))
	if got := exchange(t, leg.Stream, "question"); got != "question" {
		t.Errorf("got %q", got)
	}
	if _, err := stuck.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the stuck leg: %v", err)
	}
}

// dialStuck connects to a peer that never reads, and fills what lies between.
func dialStuck(t *testing.T) *mptcpsock.Conn {
	t.Helper()
	lc := mptcpsock.ListenConfig{ReceiveBuffer: 1}
	l, err := lc.Listen(t.Context(), anyPort)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := new(mptcpsock.Dialer).Dial(within(t), l.Addr())
	must(t, err)
	peer, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { _ = peer.Close(); _ = c.Close() })
	must(t, c.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	for err = error(nil); err == nil; {
		_, err = c.Write(make([]byte, 64<<10))
	}
	return c
}

// TestRefusalOnKeptLeg: what the concentrator answers to a further request is
// what the application hears.
func TestRefusalOnKeptLeg(t *testing.T) {
	dest, closed := startDestination(t, echo), unusedPort(t)
	onKept(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, l.up)
		s := Stream{Destination: to(dest), Choice: Choice{Mode: "handover"}}
		leg := openAndKeep(t, up, s)
		eventually(t, "the leg waits", func() bool { return len(conc.resters) == 1 })
		s.Destination = to(closed)
		if _, err := up.Open(within(t), s); replyOf(err) != ReplyConnectionRefused {
			t.Errorf("got %v", err)
		}
		if _, err := leg.Conn.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the leg: %v", err)
		}
		if h := up.Health(); h.State != ServerOK {
			t.Errorf("health %+v", h)
		}
		eventually(t, "nothing waits", func() bool { return len(conc.resters)+conc.Table().Len() == 0 })
	})
}

// openAndKeep carries one stream on a new leg, which waits afterwards.
func openAndKeep(t *testing.T, up *Upstream, s Stream) *Leg {
	t.Helper()
	leg, err := up.Open(within(t), s)
	must(t, err)
	if got := exchange(t, leg.Stream, "question"); got != "question" {
		t.Fatalf("got %q", got)
	}
	up.finished(leg, true)
	if up.idle.len() != 1 {
		t.Fatal("the leg is not kept")
	}
	return leg
}

// TestKeptLegOfAnotherPath: a leg that began on another path than a new one would
// is not used.
func TestKeptLegOfAnotherPath(t *testing.T) {
	dest := startDestination(t, echo)
	_, at := startConcentrator(t, func(c *ConcentratorConfig) { c.IdleLegs = 4 })
	ways := &changingPaths{ways: []Candidate{{Path: "dsl"}, {Path: "lte"}}}
	up := upstreamTo(at.addr, func(c *UpstreamConfig) { c.IdleLegs, c.Paths = 4, ways })
	s := Stream{Destination: to(dest), Choice: Choice{Mode: "handover"}}
	for i, step := range []struct {
		ways   []Candidate
		path   string
		reused bool
	}{
		{ways.ways, "dsl", false},
		{ways.ways, "dsl", true},
		{[]Candidate{{Path: "dsl", Troubled: true}, {Path: "lte"}}, "lte", false},
		{[]Candidate{{Path: "lte"}}, "lte", true},
		{[]Candidate{{Path: "dsl"}, {Path: "lte"}}, "dsl", false},
	} {
		ways.ways = step.ways
		leg, err := up.Open(within(t), s)
		must(t, err)
		if leg.Path != step.path || leg.Reused != step.reused {
			t.Errorf("step %d: on %s, reused %v", i, leg.Path, leg.Reused)
		}
		exchange(t, leg.Stream, "question")
		up.finished(leg, true)
	}
	up.idle.close()
}

type changingPaths struct{ ways []Candidate }

func (p *changingPaths) Candidates() []Candidate { return p.ways }

// TestIdleLegsAreBounded: the oldest one makes room, and each goes after a while.
func TestIdleLegsAreBounded(t *testing.T) {
	k := kept{most: 2}
	key := legKey{user: "alice"}
	var all []*Leg
	for range 3 {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		l := &Leg{Stream: pipeStream{near}, key: key}
		all = append(all, l)
		k.put(l)
	}
	if _, err := all[0].Stream.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the oldest is open: %v", err)
	}
	if got := k.take(key); got != all[2] {
		t.Error("not the latest one was taken")
	}
	all[1].idleSince = time.Now().Add(-keepTime)
	k.expire()
	if n := k.len(); n != 0 {
		t.Errorf("%d are kept beyond their time", n)
	}
	k.close()
	k.put(all[2])
	if n := k.len(); n != 0 {
		t.Errorf("%d are kept after close", n)
	}
}

type pipeStream struct{ net.Conn }

func (pipeStream) CloseWrite() error { return nil }

// TestBytesAheadOfTheAnswer: frames begin behind the answer.
func TestBytesAheadOfTheAnswer(t *testing.T) {
	dest := startDestination(t, hold)
	_, at := startConcentrator(t, func(c *ConcentratorConfig) { c.IdleLegs = 1 })
	c := dialPlain(t, at.addr)
	flight := credentials{"alice", "token", true}.flight(to(dest))
	_, err := c.Write(append(flight, 0, 1, 'x'))
	must(t, err)
	if got, err := io.ReadAll(c); err == nil && len(got) > 4 {
		t.Errorf("answered % x", got)
	}
}

// TestPlainPeerOfAKeepingConcentrator: any SOCKS5 client gets the plain protocol.
func TestPlainPeerOfAKeepingConcentrator(t *testing.T) {
	dest := startDestination(t, echo)
	_, at := startConcentrator(t, func(c *ConcentratorConfig) { c.IdleLegs = 1 })
	c := dialPlain(t, at.addr)
	_, err := c.Write(join(greetUser("alice", "token"), connectAddr(dest)))
	must(t, err)
	if r := readAnswer(t, c, []byte{5, 2, 1, 0}); r != ReplySucceeded {
		t.Fatal(r)
	}
	if got := exchange(t, c, "question"); got != "question" {
		t.Errorf("got %q", got)
	}
}

// TestKeepingClientOfAPlainConcentrator: and any SOCKS5 server serves.
func TestKeepingClientOfAPlainConcentrator(t *testing.T) {
	dest := startDestination(t, echo)
	_, at := startConcentrator(t, nil)
	up := upstreamTo(at.addr, func(c *UpstreamConfig) { c.IdleLegs = 4 })
	_, f := startFront(t, up, nil)
	for range 2 {
		if got := askFor(t, f.addr, dest, "handover", "question"); got != "question" {
			t.Errorf("got %q", got)
		}
	}
	if n := up.idle.len(); n != 0 {
		t.Errorf("%d legs are kept", n)
	}
}
