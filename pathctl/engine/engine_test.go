package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/subflowbpf"
)

// TestEngineRegistration: the data path registers a connection before or after
// the kernel's events about it; nothing is created before both were there.
func TestEngineRegistration(t *testing.T) {
	register := func(t *testing.T, b *bench) {
		b.register(registration(&fakeReader{reading: onFirst()}, mode.Aggregate))(b.now)
		b.pass(t, 0)
	}
	events := func(t *testing.T, b *bench) {
		b.begun(t)
		b.pass(t, 0)
	}
	for name, steps := range map[string][2]func(*testing.T, *bench){
		"before the events": {register, events},
		"after the events":  {events, register},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			steps[0](t, b)
			wantDid(t, b.kernel)
			steps[1](t, b)
			wantDid(t, b.kernel, createSecond)
			c := b.conns[testToken]
			want := []string{"10.0.1.1:0 192.0.2.1:443 pending", "[::ffff:10.0.0.1]:1000 [::ffff:192.0.2.1]:443"}
			if diff := cmp.Diff(want, c.ends()); diff != "" {
				t.Error(diff)
			}
			if f := c.byID(1); !f.initial || f.path != "dsl0" {
				t.Errorf("first subflow: %+v", f)
			}
			b.pass(t, time.Second)
			wantDid(t, b.kernel)
		})
	}
}

// withSecond brings the second subflow up.
func (b *bench) withSecond(t *testing.T, c *connection, r *fakeReader) {
	t.Helper()
	b.pass(t, 0)
	wantDid(t, b.kernel, createSecond)
	b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowEstablished, Local: second, Remote: server, LocalID: 160})
	r.reading = onFirst(SubflowReading{Local: second, Remote: server, TCP: established})
	b.pass(t, 0)
	wantDid(t, b.kernel)
	if f := c.find(second, server); f == nil || !f.established || f.path != "lte0" || len(c.subflows) != 2 {
		t.Fatalf("subflows: %v", c.ends())
	}
}

// TestEnginePeerClosesSubflow: whether the kernel's event or a reading is first,
// the path is left alone for a while and then used again.
func TestEnginePeerClosesSubflow(t *testing.T) {
	for _, readingFirst := range []bool{false, true} {
		b := newBench(t, policy.Client)
		c, r := b.steered(t, mode.Aggregate)
		b.withSecond(t, c, r)
		if readingFirst {
			c.update(onFirst(), b.pathOf, b.now)
		}
		r.reading = onFirst()
		b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: second, Remote: server, Errno: syscall.ETIMEDOUT})
		if got, want := b.stateOf("lte0").Retry(b.now), firstWait(pathstate.Dark); got != want {
			t.Errorf("reading first %t: path left alone for %v, want %v", readingFirst, got, want)
		}
		if !b.avoids("lte0") {
			t.Error("new connections may start on the path")
		}
		b.pass(t, firstWait(pathstate.Dark)-1)
		wantDid(t, b.kernel)
		b.pass(t, lookIdle)
		wantDid(t, b.kernel, createSecond)
	}
}

// TestEnginePeerClosesOneOfSeveral: a path on which another subflow moves data is
// not to blame for one that the peer gave up, but one that it refuses is not
// tried again at once.
func TestEnginePeerClosesOneOfSeveral(t *testing.T) {
	for _, tt := range []struct {
		name  string
		busy  bool
		lived time.Duration
		alone bool // the path is left alone
	}{
		{"gave up", true, 2 * time.Second, false},
		{"nothing else moves", false, 2 * time.Second, true},
		{"refused", true, 100 * time.Millisecond, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Ndiffports)
			b.subflowUp(c, mptcppm.Event{Token: testToken, Local: second, Remote: server, LocalID: 160}, b.now)
			b.subflowUp(c, mptcppm.Event{Token: testToken, Local: ap("10.0.1.1:2001"), Remote: server, LocalID: 160}, b.now)
			if tt.busy {
				other := c.find(ap("10.0.1.1:2001"), server)
				other.obs.Add(uapi.TCPInfo{}, b.now.Add(-time.Second))
				other.obs.Add(uapi.TCPInfo{BytesReceived: 1000}, b.now)
			}
			b.now = b.now.Add(tt.lived)
			b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: second, Remote: server})
			if left := b.stateOf("lte0").Retry(b.now); left > 0 != tt.alone {
				t.Errorf("the path is left alone for %v", left)
			}
		})
	}
}

// TestEngineOwnDestroyIsNoFailure: the event about a subflow that we destroyed
// is held neither against its path nor against the one that takes its place.
func TestEngineOwnDestroyIsNoFailure(t *testing.T) {
	b := newBench(t, policy.Client)
	c, r := b.steered(t, mode.Aggregate)
	b.withSecond(t, c, r)
	f := c.find(second, server)
	b.reconcile(t.Context(), c, policy.Plan{
		Create: []policy.Create{{Path: "lte0"}}, Drop: []policy.Drop{{ID: f.id, Path: "lte0", Cause: policy.Replaced}},
	}, b.now)
	b.kernel.take()
	b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: second, Remote: server})
	if got := b.stateOf("lte0").Retry(b.now); got != 0 {
		t.Errorf("path left alone for %v", got)
	}
	if pending := c.pendingOn(second.Addr(), 0); pending == nil {
		t.Errorf("the new subflow was forgotten: %v", c.ends())
	}
}

// TestEngineJoinWithoutAnswer: a pending subflow has its time, is then
// destroyed where the kernel has it, and its path is left alone.
func TestEngineJoinWithoutAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		shown []SubflowReading
		did   []string
	}{
		"the kernel has given up":   {nil, nil},
		"the kernel tries for ever": {[]SubflowReading{{Local: second, Remote: server, TCP: synSent}}, []string{"destroy 5: 10.0.1.1:2000 192.0.2.1:443"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, r := b.steered(t, mode.Aggregate)
			b.pass(t, 0)
			wantDid(t, b.kernel, createSecond)
			r.reading = onFirst(tt.shown...)
			timeout := c.reg.Mode.Params.JoinTimeout
			b.pass(t, timeout-1)
			wantDid(t, b.kernel)
			if len(c.subflows) != 2 {
				t.Fatalf("subflows: %v", c.ends())
			}
			b.pass(t, lookBusy)
			wantDid(t, b.kernel, tt.did...)
			r.reading = onFirst()
			if len(c.subflows) != 1 || b.stateOf("lte0").Retry(b.now) == 0 {
				t.Errorf("subflows: %v, retry in %v", c.ends(), b.stateOf("lte0").Retry(b.now))
			}
			b.pass(t, firstWait(pathstate.Dark)+lookIdle)
			wantDid(t, b.kernel, createSecond)
		})
	}
}

func TestEngineForgets(t *testing.T) {
	closed := func(t *testing.T, b *bench) { b.event(t, mptcppm.Event{Kind: mptcppm.EventClosed}) }
	unregister := func(_ *testing.T, b *bench) { b.unregister(testToken)(b.now) }
	for name, end := range map[string]func(*testing.T, *bench){"closed": closed, "unregistered": unregister} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			b.steered(t, mode.Aggregate)
			b.pass(t, 0)
			end(t, b)
			// Subflows outlive the connection that the program has closed.
			for kind := range mptcppm.EventKind(20) {
				if kind != mptcppm.EventCreated && kind != mptcppm.EventEstablished {
					b.event(t, mptcppm.Event{Kind: kind, Local: second, Remote: server})
				}
			}
			if len(b.conns) != 0 || len(b.queue) != 0 {
				t.Errorf("%d connections, %d in the queue", len(b.conns), len(b.queue))
			}
		})
	}
}

// TestEngineReadFails: a connection that its owner has closed is forgotten; one
// that cannot be read is left alone and looked at again.
func TestEngineReadFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kept bool
	}{
		{fmt.Errorf("reading a connection: %w", &net.OpError{Op: "raw-control", Err: net.ErrClosed}), false},
		{fmt.Errorf("reading a connection: %w", syscall.EOPNOTSUPP), true},
	} {
		b := newBench(t, policy.Client)
		c, r := b.steered(t, mode.Aggregate)
		c.looked = true // the first look does without reading
		r.err = tt.err
		b.pass(t, lookIdle)
		wantDid(t, b.kernel)
		if kept := b.conns[testToken] == c && c.index >= 0; kept != tt.kept || len(b.conns) != len(b.queue) {
			t.Errorf("%v: kept %t, %d in the queue", tt.err, kept, len(b.queue))
		}
	}
}

func TestEngineEventsLost(t *testing.T) {
	b := newBench(t, policy.Client)
	c, r := b.steered(t, mode.Single)
	b.pass(t, time.Minute)
	reads := r.reads
	b.now = b.now.Add(-1) // before the next look, if one is due now
	b.pass(t, 0)
	if r.reads != reads {
		t.Fatal("read without a reason")
	}
	b.lookAtAll(b.now)
	b.pass(t, 0)
	if r.reads != reads+1 || c.index < 0 {
		t.Errorf("%d reads, index %d", r.reads-reads, c.index)
	}
}

// TestEngineTimeoutIsLookedAt: a timeout brings the next look forward.
func TestEngineTimeoutIsLookedAt(t *testing.T) {
	b := newBench(t, policy.Client)
	c, r := b.steered(t, mode.Single)
	b.pass(t, time.Minute)
	r.reading.Subflows[0].TCP.Unacked = 4
	for kind, want := range map[subflowbpf.Kind]time.Duration{subflowbpf.Timeout: 0, subflowbpf.Retransmit: lookUrgent} {
		b.queue.schedule(c, b.now.Add(time.Hour))
		b.onTimeout(subflowbpf.Event{Kind: kind, Token: testToken, Local: first10, Remote: server, Retransmits: 2}, b.now)
		if got := c.look.Sub(b.now); got != want {
			t.Errorf("%v: looked at in %v, want %v", kind, got, want)
		}
	}
	if f := c.byID(1); f.obs.Timeouts() != 2 {
		t.Errorf("%d timeouts", f.obs.Timeouts())
	}
	b.onTimeout(subflowbpf.Event{Kind: subflowbpf.Timeout, Token: testToken + 1}, b.now)
	if len(b.conns) != 1 {
		t.Error("a connection was made up")
	}
}

func TestEnginePathsChange(t *testing.T) {
	b := newBench(t, policy.Client)
	b.setPaths(nil)(b.now)
	c, _ := b.steered(t, mode.Aggregate)
	f := c.byID(1)
	if f.path != "10.0.0.1" {
		t.Fatalf("path %q", f.path)
	}
	b.stateOf(f.path).RTT.Sample(1, b.now)
	if len(b.states) != 0 {
		t.Error("what is no path is remembered")
	}
	b.setPaths(twoPaths())(b.now)
	if f.path != "dsl0" {
		t.Errorf("path %q now that it is known", f.path)
	}

	b.pathFailed("lte0", pathstate.Dark, "test", b.now, b.now)
	down := twoPaths()
	down[1].State, down[1].Addrs = netpath.Down, nil
	b.setPaths(down)(b.now)
	if !b.stateOf("lte0").Troubled(b.now) {
		t.Error("forgotten while it is down")
	}
	b.setPaths(twoPaths())(b.now)
	if b.stateOf("lte0").Troubled(b.now) || b.avoids("lte0") {
		t.Errorf("a path that came up begins with trouble: %+v", *b.stateOf("lte0"))
	}

	b.pathFailed("lte0", pathstate.Dark, "test", b.now, b.now)
	b.setPaths(twoPaths()[:1])(b.now)
	if _, kept := b.states["lte0"]; kept {
		t.Error("a path that was removed is remembered")
	}
	if b.avoids("lte0") {
		t.Error("a path that was removed is to be avoided")
	}
}

// TestConcentratorAnnounces: its other addresses, once a connection it accepted
// may have subflows; and it never creates any.
func TestConcentratorAnnounces(t *testing.T) {
	for _, server := range []bool{true, false} {
		b := newBench(t, policy.Concentrator)
		b.announce = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}
		for _, kind := range []mptcppm.EventKind{mptcppm.EventCreated, mptcppm.EventEstablished} {
			b.event(t, mptcppm.Event{Kind: kind, Local: mapped10, Remote: far10, ServerSide: server})
		}
		var want []string
		if server {
			want = []string{"announce 5: 2001:db8::1 id 193"}
		}
		wantDid(t, b.kernel, want...)
		b.register(registration(&fakeReader{reading: onFirst()}, mode.Aggregate))(b.now)
		b.pass(t, time.Second)
		wantDid(t, b.kernel)
		if len(b.states) != 0 {
			t.Errorf("clients are remembered as paths: %v", b.states)
		}
	}
}

// TestEngineEnds: the goroutine ends with its context, and callers that come
// later do not wait for it.
func TestEngineEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, policy.Client)
	done := make(chan error, 1)
	go runEngine(ctx, b.Engine, done)
	b.post(ctx, b.register(registration(&fakeReader{reading: onFirst()}, mode.Aggregate)))
	m := b.Connections(ctx)
	want := ConnectionStatus{backup: map[subflowKey]bool{}}
	got := m[testToken]
	got.Last = ""
	if len(m) != 1 {
		t.Errorf("status of %d connections", len(m))
	}
	for ends := range got.backup { // there once a look has been taken
		want.backup[ends] = false
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ConnectionStatus{})); diff != "" {
		t.Error(diff)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for range inboxSize + 10 {
		b.post(context.Background(), func(time.Time) {})
	}
	if m := b.Connections(context.Background()); m != nil {
		t.Errorf("status of what has ended: %v", m)
	}
}

func runEngine(ctx context.Context, e *Engine, done chan<- error) { done <- e.loop(ctx) }

func TestEngineKeepsNothingOfEndedConnections(t *testing.T) {
	b := newBench(t, policy.Client)
	for i := range 100 {
		token := uapi.Token(i)
		b.onEvent(t.Context(), mptcppm.Event{Kind: mptcppm.EventCreated, Token: token, Local: mapped10, Remote: far10}, b.now)
		if i%2 == 0 {
			b.onEvent(t.Context(), mptcppm.Event{Kind: mptcppm.EventEstablished, Token: token, Local: mapped10, Remote: far10}, b.now)
		}
	}
	// Their end is among events that were lost.
	b.pass(t, strangerKept-1)
	if len(b.conns) != 100 {
		t.Errorf("%d connections left before their time", len(b.conns))
	}
	b.pass(t, 1)
	if len(b.conns) != 0 || len(b.queue) != 0 {
		t.Errorf("%d connections, %d in the queue", len(b.conns), len(b.queue))
	}
}
