package control

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

func TestHints(t *testing.T) {
	const mb = 1_000_000
	for _, tt := range []struct {
		hints Hints
		want  policy.Mode
	}{
		{Hints{}, ""},
		{Hints{Amount: 20_000}, mode.Single},
		{Hints{Amount: 20_000, Duration: time.Hour}, mode.Handover},
		{Hints{Amount: 500 * mb}, mode.Aggregate},
		{Hints{Duration: time.Second}, mode.Single},
		{Hints{Duration: time.Minute}, mode.Lazy},
		{Hints{Rate: 8_000}, mode.Interactive},                              // speech
		{Hints{Rate: 8_000, Duration: time.Hour}, mode.Interactive},         // a call
		{Hints{Rate: 8_000, Amount: 500 * mb}, mode.Aggregate},              // the amount decides
		{Hints{Rate: 1 * mb}, mode.Lazy},                                    // video of unknown length
		{Hints{Rate: 1 * mb, Duration: time.Minute}, mode.Aggregate},        // 60 MB
		{Hints{Rate: 8_000, Duration: 100 * time.Millisecond}, mode.Single}, // a message
		{Hints{Rate: 1 << 63, Duration: 1000 * time.Hour}, mode.Aggregate},  // no overflow
		{Hints{Amount: 999_999, Duration: 3 * time.Second}, mode.Handover},  // the limits of lazy
		{Hints{Amount: 1 * mb, Duration: 3 * time.Second}, mode.Aggregate},  // of its bytes,
		{Hints{Rate: 32_000, Duration: 3 * time.Second}, mode.Interactive},  // rate
		{Hints{Rate: 32_001, Duration: 3 * time.Second}, mode.Handover},     // and time
		{Hints{Rate: 32_000, Duration: 2999 * time.Millisecond}, mode.Single},
	} {
		if got := tt.hints.Mode(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.hints, got, tt.want)
		}
	}
}

// TestWishes: the most exact wish chooses the mode.
func TestWishes(t *testing.T) {
	lazy := SteerBy(mode.Lazy)
	for _, tt := range []struct {
		d    Dialer
		want policy.Mode
	}{
		{Dialer{}, ""},
		{Dialer{Service: ServiceNone}, ""},
		{Dialer{Service: ServiceHandover}, mode.Handover},
		{Dialer{Service: ServiceInteractive}, mode.Interactive},
		{Dialer{Service: ServiceAggregate}, mode.Aggregate},
		{Dialer{Profile: ProfileThroughput}, mode.Aggregate},
		{Dialer{Profile: ProfileLatency}, mode.Interactive},
		{Dialer{Profile: ProfileReliability}, mode.Handover},
		{Dialer{Hints: Hints{Amount: 1 << 30}, Profile: ProfileLatency}, mode.Interactive},
		{Dialer{Profile: ProfileLatency, Service: ServiceAggregate}, mode.Aggregate},
		{Dialer{Service: ServiceAggregate, Steering: lazy}, mode.Lazy},
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

// serviceWorld has default routes over both links, as the paths of a service
// need them, and its Controller makes source routing. Link 2 can be metered.
func serviceWorld(t *testing.T, metered bool) *world {
	t.Helper()
	w := newBareWorld(t)
	w.self.Do(t, func() {
		for _, f := range families {
			addDefaultRoute(t, "link1", f.there[0], 100)
			addDefaultRoute(t, "link2", f.there[1], 200)
		}
	})
	ctl, err := OpenController(testContext(t), ControllerConfig{
		StateDir: t.TempDir(),
		Paths: []netpath.Selector{
			{Interface: "link1", Name: "wifi", Rank: 1},
			{Interface: "link2", Name: "lte", Rank: 2, Metered: metered},
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
		{Dialer{Steering: SteerBy(mode.Backup)}, true},
	} {
		for _, f := range families {
			t.Run(string(tt.d.steering().Mode.Base)+" "+tt.d.Profile.String()+" "+f.name, func(t *testing.T) {
				w := unmetered.in(t)
				p := w.dial(tt.d, f.there[0])
				if got := p.conn.LocalAddrPort().Addr(); got != f.here[0] {
					t.Errorf("the connection began on %v, want the best path's %v", got, f.here[0])
				}
				ev := w.his.await(t, "second subflow", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventSubflowEstablished })
				if ev.Remote.Addr().Unmap() != f.here[1] || ev.Backup != tt.backup {
					t.Errorf("the peer sees %v, want one from %v with backup %t", ev, f.here[1], tt.backup)
				}
				must(t, p.conn.Close())
				must(t, p.far.Close())
			})
		}
	}
}

// TestServiceOnOneHost: a service reaches a peer on its own host at once, though no
// path leads there.
func TestServiceOnOneHost(t *testing.T) {
	if !inside(t) {
		return
	}
	w := serviceWorld(t, false)
	for _, f := range families {
		ln := listen(t, ListenConfig{Strict: true}, "[::]:0")
		c, s := connect(t, Dialer{Controller: w.ctl, Service: ServiceAggregate}, ln, netip.AddrPortFrom(f.here[1], ln.Addr().Port()))
		pairOfConns{c, s}.pingPong(t)
		if got := c.LocalAddrPort().Addr(); got != f.here[0] {
			t.Errorf("the connection began on %v: the first source got no answer", got)
		}
	}
}

// TestServiceHandover: when the path in use goes away, the metered one, which
// had no subflow, carries on, and no byte is lost.
func TestServiceHandover(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if inside(t) {
				handover(t, f)
			}
		})
	}
}

func handover(t *testing.T, f family) {
	w := serviceWorld(t, true)
	p := w.dial(Dialer{Service: ServiceHandover}, f.there[0])
	ids, err := p.conn.SubIDs()
	must(t, err)
	if len(ids) != 1 {
		t.Fatalf("subflows %+v before anything has failed, want one", ids)
	}
	events := p.conn.Events(testContext(t))
	w.self.Do(t, func() { setLinkDown(t, "link1") })
	for e, err := range events {
		must(t, err)
		if e.Kind == SubflowEstablished {
			if e.Pair.Local.Addr() != f.here[1] || !e.IDKnown || e.ID == ids[0].ID {
				t.Errorf("event %v, want a subflow from %v with an id of its own", e, f.here[1])
			}
			break
		}
	}
	p.pingPong(t)
	w.his.await(t, "subflow over link 2", func(e mptcppm.Event) bool {
		return e.Kind == mptcppm.EventSubflowEstablished && e.Remote.Addr().Unmap() == f.here[1]
	})
	log, _, _ := w.ctl.Decisions(0)
	if len(log) == 0 || log[0].Why == "" {
		t.Errorf("decisions %v, want reasons", log)
	}
}

// TestAcceptedSteered: an accepted connection that is steered closes the subflow
// on which its own sending fails, as soon as another one can carry the data, and
// leaves the rest to the peer.
func TestAcceptedSteered(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if inside(t) {
				acceptedSteered(t, f)
			}
		})
	}
}

func acceptedSteered(t *testing.T, f family) {
	w := newWorld(t)
	p := w.accept(ListenConfig{Steering: SteerBy(mode.Aggregate), LocalAddrs: []netip.AddrPort{port0(f.here[1])}}, f.here[0])
	joined := w.mine.await(t, "second subflow", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventSubflowEstablished })
	if joined.Local.Addr().Unmap() != f.here[1] {
		t.Fatalf("the peer joined %v, want the announced %v", joined, f.here[1])
	}
	ctx := testContext(t)
	_, err := p.conn.OpenSub(ctx, port0(f.here[1]), netip.AddrPort{}, Normal)
	wantError(t, "OpenSub", err, ErrSteered)
	wantError(t, "SetSubflows", p.conn.SetSubflows(ctx, 1), ErrSteered)
	silence := transferMeanwhile(t, p.conn, p.far, func() error {
		w.peer.Do(t, func() { setLinkDown(t, "link1") })
		return nil
	})
	t.Logf("longest silence %v", silence)
	w.mine.of(t, mptcppm.EventSubflowClosed, firstPair(p.conn))
	awaitDecision(t, w.ctl, func(d engine.Decision) bool {
		return d.Action == engine.ActionDestroy && d.Path == f.there[0].String()
	})
	wantPairs(t, p.conn, pairOf(joined))
}

// awaitDecision waits for a decision that fits: it is noted when it has come true.
func awaitDecision(t *testing.T, ctl *Controller, fits func(engine.Decision) bool) {
	t.Helper()
	ctx := testContext(t)
	for {
		log, _, changed := ctl.Decisions(0)
		if slices.ContainsFunc(log, fits) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("decisions %+v: the awaited one is missing", log)
		}
	}
}
