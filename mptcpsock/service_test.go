package mptcpsock

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

func TestHints(t *testing.T) {
	const mb = 1_000_000
	for _, tt := range []struct {
		hints Hints
		want  policy.Mode
	}{
		{Hints{}, ""},
		{Hints{Amount: 20_000}, policy.Single},
		{Hints{Amount: 20_000, Duration: time.Hour}, policy.Handover},
		{Hints{Amount: 500 * mb}, policy.Aggregate},
		{Hints{Duration: time.Second}, policy.Single},
		{Hints{Duration: time.Minute}, policy.Lazy},
		{Hints{Rate: 8_000}, policy.Interactive},                              // speech
		{Hints{Rate: 8_000, Duration: time.Hour}, policy.Interactive},         // a call
		{Hints{Rate: 8_000, Amount: 500 * mb}, policy.Aggregate},              // the amount decides
		{Hints{Rate: 1 * mb}, policy.Lazy},                                    // video of unknown length
		{Hints{Rate: 1 * mb, Duration: time.Minute}, policy.Aggregate},        // 60 MB
		{Hints{Rate: 8_000, Duration: 100 * time.Millisecond}, policy.Single}, // a message
		{Hints{Rate: 1 << 63, Duration: 1000 * time.Hour}, policy.Aggregate},  // no overflow
		{Hints{Amount: 999_999, Duration: 3 * time.Second}, policy.Handover},  // the limits of lazy
		{Hints{Amount: 1 * mb, Duration: 3 * time.Second}, policy.Aggregate},  // of its bytes,
		{Hints{Rate: 32_000, Duration: 3 * time.Second}, policy.Interactive},  // rate
		{Hints{Rate: 32_001, Duration: 3 * time.Second}, policy.Handover},     // and time
		{Hints{Rate: 32_000, Duration: 2999 * time.Millisecond}, policy.Single},
	} {
		if got := tt.hints.Mode(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.hints, got, tt.want)
		}
	}
}

// TestWishes: the most exact wish chooses the mode.
func TestWishes(t *testing.T) {
	lazy := SteerBy(policy.Lazy)
	for _, tt := range []struct {
		d    Dialer
		want policy.Mode
	}{
		{Dialer{}, ""},
		{Dialer{Service: ServiceNone}, ""},
		{Dialer{Service: ServiceHandover}, policy.Handover},
		{Dialer{Service: ServiceInteractive}, policy.Interactive},
		{Dialer{Service: ServiceAggregate}, policy.Aggregate},
		{Dialer{Profile: ProfileThroughput}, policy.Aggregate},
		{Dialer{Profile: ProfileLatency}, policy.Interactive},
		{Dialer{Profile: ProfileReliability}, policy.Handover},
		{Dialer{Hints: Hints{Amount: 1 << 30}, Profile: ProfileLatency}, policy.Interactive},
		{Dialer{Profile: ProfileLatency, Service: ServiceAggregate}, policy.Aggregate},
		{Dialer{Service: ServiceAggregate, Steering: lazy}, policy.Lazy},
	} {
		st := tt.d.steering()
		if st.Mode.Base != tt.want {
			t.Errorf("%v %v %v: %q, want %q", tt.d.Service, tt.d.Profile, tt.d.Hints, st.Mode.Base, tt.want)
		}
		if tt.want != "" {
			must(t, st.Mode.Validate())
		}
	}
	for _, name := range []string{ServiceType(9).String(), Profile(9).String(), SubflowEventKind(9).String()} {
		if name == "" {
			t.Error("a value without a name")
		}
	}
}

func TestInterleave(t *testing.T) {
	got := interleave(addrs("192.0.2.1", "192.0.2.2", "2001:db8::1", "::ffff:192.0.2.3"), 443)
	want := []netip.AddrPort{
		netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("192.0.2.1:443"),
		netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("192.0.2.3:443"),
	}
	if diff := cmp.Diff(want, got, comparePairs); diff != "" {
		t.Error(diff)
	}
}

// serviceWorld has default routes over both links, as the paths of a service
// need them, and its Controller makes source routing. Link 2 can be metered.
func serviceWorld(t *testing.T, metered bool) *world {
	t.Helper()
	w := newBareWorld(t)
	w.self.do(t, func() {
		addDefaultRoute(t, "link1", there4[0], 100)
		addDefaultRoute(t, "link2", there4[1], 200)
	})
	ctl, err := OpenController(testContext(t), ControllerConfig{
		StateDir: t.TempDir(),
		Paths: []netpath.Selector{
			{Interface: "link1", Name: "wifi", Rank: 1, Family: netpath.IPv4},
			{Interface: "link2", Name: "lte", Rank: 2, Family: netpath.IPv4, Metered: metered},
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, ctl.Close()) })
	w.ctl = ctl
	return w
}

// TestServices: each service begins on the best path and makes the subflows
// that its mode says, as the peer's kernel sees them.
func TestServices(t *testing.T) {
	if !inside(t) {
		return
	}
	unmetered := serviceWorld(t, false)
	for _, tt := range []struct {
		d      Dialer
		backup bool
	}{
		{Dialer{Service: ServiceAggregate}, false},
		{Dialer{Service: ServiceHandover}, true},
		{Dialer{Service: ServiceInteractive}, true},
		{Dialer{Profile: ProfileThroughput}, false},
		{Dialer{Hints: Hints{Amount: 1 << 30}}, false},
		{Dialer{Steering: SteerBy(policy.Backup)}, true},
	} {
		t.Run(string(tt.d.steering().Mode.Base)+" "+tt.d.Profile.String(), func(t *testing.T) {
			w := unmetered.in(t)
			p := w.dial(tt.d, there4[0])
			if got := p.conn.LocalAddrPort().Addr(); got != here4[0] {
				t.Errorf("the connection began on %v, want the best path's %v", got, here4[0])
			}
			ev := w.his.await(t, "second subflow", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventSubflowEstablished })
			if ev.Remote.Addr().Unmap() != here4[1] || ev.Backup != tt.backup {
				t.Errorf("the peer sees %v, want one from %v with backup %t", ev, here4[1], tt.backup)
			}
			must(t, p.conn.Close())
			must(t, p.far.Close())
		})
	}
}

// TestServiceHandover: when the path in use goes away, the metered one, which
// had no subflow, carries on, and no byte is lost.
func TestServiceHandover(t *testing.T) {
	if !inside(t) {
		return
	}
	w := serviceWorld(t, true)
	p := w.dial(Dialer{Service: ServiceHandover}, there4[0])
	ids, err := p.conn.SubIDs()
	must(t, err)
	if len(ids) != 1 {
		t.Fatalf("subflows %+v before anything has failed, want one", ids)
	}
	events := p.conn.Events(testContext(t))
	w.self.do(t, func() { setLinkDown(t, "link1") })
	for e, err := range events {
		must(t, err)
		if e.Kind == SubflowEstablished {
			if e.Pair.Local.Addr() != here4[1] || !e.IDKnown || e.ID == ids[0].ID {
				t.Errorf("event %v, want a subflow from %v with an id of its own", e, here4[1])
			}
			break
		}
	}
	p.pingPong(t)
	w.his.await(t, "subflow over link 2", func(e mptcppm.Event) bool {
		return e.Kind == mptcppm.EventSubflowEstablished && e.Remote.Addr().Unmap() == here4[1]
	})
	log, _, _ := w.ctl.Decisions(0)
	if len(log) == 0 || log[0].Why == "" {
		t.Errorf("decisions %v, want reasons", log)
	}
}

// TestEvents: what a Controller tells is what the kernel says, in its order;
// without one the subflows are compared.
func TestEvents(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	t.Run("kernel", func(t *testing.T) {
		w := w.in(t)
		p := w.dial(Dialer{Strict: true}, there4[0])
		ctx := testContext(t)
		events := p.conn.Events(ctx)
		id, err := p.conn.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal)
		must(t, err)
		pair, err := p.conn.SubTuple(id)
		must(t, err)
		must(t, p.conn.CloseSub(ctx, id))
		want := []SubflowEvent{
			{Kind: SubflowEstablished, ID: id, IDKnown: true, Pair: pair},
			{Kind: SubflowClosed, ID: id, IDKnown: true, Pair: pair},
		}
		var got []SubflowEvent
		for e, err := range events { // until the connection is closed
			must(t, err)
			if got = append(got, e); len(got) == len(want) {
				must(t, p.conn.Close())
			}
		}
		if diff := cmp.Diff(want, got, comparePairs); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for _, e := range want {
			kind := mptcppm.EventSubflowEstablished
			if e.Kind == SubflowClosed {
				kind = mptcppm.EventSubflowClosed
			}
			w.mine.of(t, kind, e.Pair)
		}
	})
	t.Run("compared", func(t *testing.T) {
		w := w.in(t)
		w.peer.limits(t, 8)
		p := w.dial(Dialer{Strict: true}, there4[0])
		op, err := p.conn.begin("test", "")
		must(t, err)
		p.conn.attached.Store(nil) // as if there were none
		events := p.conn.Events(testContext(t))
		p.conn.attached.Store(op.attachment)
		id, err := p.conn.OpenSub(testContext(t), port0(here4[1]), netip.AddrPort{}, Normal)
		must(t, err)
		got := collect(t, events, 1)
		if len(got) != 1 || got[0].Kind != SubflowEstablished || got[0].ID != id {
			t.Errorf("events %v, want subflow %d established", got, id)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		w := w.in(t)
		p := w.dial(Dialer{Strict: true}, there4[0])
		ctx, cancel := context.WithCancel(t.Context())
		events := p.conn.Events(ctx)
		cancel()
		n := 0
		for _, err := range events {
			n++
			wantError(t, "the last event", err, context.Canceled)
		}
		if n != 1 {
			t.Errorf("%d events, want the error alone", n)
		}
	})
}

// collect reads events until n have come or there are no more.
func collect(t *testing.T, events func(func(SubflowEvent, error) bool), n int) (got []SubflowEvent) {
	t.Helper()
	for e, err := range events {
		must(t, err)
		if got = append(got, e); len(got) == n {
			break
		}
	}
	return got
}

// TestFateSharing: the connection ends with its initial subflow when asked to,
// and not otherwise.
func TestFateSharing(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for _, share := range []bool{true, false} {
		p := w.dial(Dialer{Strict: true, FateSharing: share}, there4[0])
		ctx := testContext(t)
		_, err := p.conn.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal)
		must(t, err)
		must(t, p.conn.CloseSub(ctx, onlyInitial(t, p.conn)))
		if !share {
			p.pingPong(t)
			wantError(t, "too late", p.conn.SetFateSharing(true), ErrUnknownSubflow)
			continue
		}
		_, err = p.conn.Read(make([]byte, 1))
		wantError(t, "read", err, net.ErrClosed)
	}
}

func onlyInitial(t *testing.T, c *Conn) uapi.SubflowID {
	t.Helper()
	for _, s := range must1(c.SubIDs())(t) {
		if s.Initial {
			return s.ID
		}
	}
	t.Fatal("no initial subflow")
	return 0
}

// TestSetSubflows opens and closes as many as it takes.
func TestSetSubflows(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		if p.conn.accepted {
			err := p.conn.SetSubflows(testContext(t), 2) // a mere client takes none
			wantError(t, "SetSubflows", err, ErrSubflowFailed, syscall.ECONNREFUSED)
			return
		}
		ctx := testContext(t)
		for _, n := range []int{3, 5, 1, 2} {
			must(t, p.conn.SetSubflows(ctx, n))
			pairs, err := p.conn.Pairs()
			must(t, err)
			if len(pairs) != n {
				t.Errorf("%d subflows, want %d", len(pairs), n)
			}
			p.pingPong(t)
		}
	})
}

// TestDialHost: a name with addresses of both families, of which one does not
// answer.
func TestDialHost(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	d := Dialer{Resolver: hostsFile()}
	c, err := d.DialHost(testContext(t), net.JoinHostPort("localhost", portOf(ln)))
	must(t, err)
	bound(t, c)
	if got := c.RemoteAddrPort(); got != ln.Addr() {
		t.Errorf("connected to %v, want %v", got, ln.Addr())
	}
	bound(t, accept(t, ln))
	_, err = d.DialHost(testContext(t), "127.0.0.1")
	var oe *net.OpError
	if !errors.As(err, &oe) || oe.Net != "mptcp" {
		t.Errorf("no port: %v", err)
	}
	_, err = d.DialHost(testContext(t), "name.invalid:80")
	var de *net.DNSError
	if !errors.As(err, &de) {
		t.Errorf("no such name: %v", err)
	}
}

// TestStatsShares: the shares of the subflows add up.
func TestStatsShares(t *testing.T) {
	st := statsOf([]Subflow{
		{ID: 1, TCP: uapi.TCPInfo{State: uapi.TCPEstablished, BytesSent: 300, BytesReceived: 10}},
		{ID: 2, TCP: uapi.TCPInfo{State: uapi.TCPEstablished, BytesSent: 100}},
		{ID: 3, TCP: uapi.TCPInfo{State: uapi.TCPClose, BytesSent: 1000}},
	})
	if st.Sent != 400 || len(st.Subflows) != 2 || st.Subflows[0].SentShare != 0.75 || st.Subflows[1].SentShare != 0.25 || st.Subflows[0].ReceivedShare != 1 {
		t.Errorf("%+v", st)
	}
	if st := statsOf([]Subflow{{ID: 1, TCP: uapi.TCPInfo{State: uapi.TCPEstablished}}}); st.Subflows[0].SentShare != 0 {
		t.Errorf("%+v", st)
	}
}

// TestNumbering: where the kernel gives no ids, ours stay with the subflow.
func TestNumbering(t *testing.T) {
	sub := func(port uint16) Subflow {
		return Subflow{Local: netip.AddrPortFrom(here4[0], port), Remote: netip.AddrPortFrom(there4[0], 80)}
	}
	var n numbering
	for _, tt := range []struct {
		ports []uint16
		want  []uapi.SubflowID
	}{
		{[]uint16{1000}, []uapi.SubflowID{1}},
		{[]uint16{1000, 1001, 1002}, []uapi.SubflowID{1, 2, 3}},
		{[]uint16{1002, 1000}, []uapi.SubflowID{3, 1}},
		{[]uint16{1000, 1001}, []uapi.SubflowID{1, 4}}, // another one on the same ports
	} {
		var subs []Subflow
		for _, p := range tt.ports {
			subs = append(subs, sub(p))
		}
		n.number(subs)
		var got []uapi.SubflowID
		for _, s := range subs {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ports %v (-want +got):\n%s", tt.ports, diff)
		}
	}
}
