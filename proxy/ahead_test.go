package proxy_test

import (
	"strings"
	"testing"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
)

// TestLegsAhead: after a burst as many legs are ready as it took, and further flows of any
// size need no handshake. All go when the front stops.
func TestLegsAhead(t *testing.T) {
	dest := StartDestination(t, Echo)
	onKept(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, func(c *leg.Config) { l.up(c); c.Ahead = true })
		front, f := startFront(t, up, nil)
		large := strings.Repeat("more than a leg is kept after ", 20_000)
		const burst = 4
		for range burst {
			if got := askFor(t, f.Addr, dest, "handover", large); got != large {
				t.Fatalf("got %d bytes", len(got))
			}
		}
		Eventually(t, "as many legs wait", func() bool { return up.Idle() == burst && conc.Resting() == burst })
		reused := front.Table().Totals.Reused.Load()
		for range burst {
			if got := askFor(t, f.Addr, dest, "handover", large); got != large {
				t.Fatalf("got %d bytes", len(got))
			}
		}
		if n := front.Table().Totals.Reused.Load() - reused; n != burst {
			t.Errorf("%d of %d flows needed no handshake", n, burst)
		}
		f.Stop()
		Await(t, "the end of Run", f.Done)
		Eventually(t, "nothing waits", func() bool { return up.Idle() == 0 && conc.Resting() == 0 })
	})
}

// TestNoLegAhead: no leg is opened ahead on a metered path that stands by, nor through a
// concentrator that keeps none.
func TestNoLegAhead(t *testing.T) {
	dest := StartDestination(t, Echo)
	for _, tt := range []struct {
		name string
		keep int // legs that the concentrator keeps
		want int
	}{{"all is well", 32, 1}, {"the concentrator keeps none", 0, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			_, at := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = tt.keep })
			opened := make(legFlows, 10)
			up := upstreamTo(at.Addr, func(c *leg.Config) {
				c.IdleLegs, c.Ahead, c.Observer = 32, true, opened
				c.Paths = leg.NewRanking(&changingPaths{[]leg.Candidate{{Path: "dsl"}, {Path: "lte", Metered: true}}}, func(string) bool { return true }, nil)
			})
			defer up.Close()
			l, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "aggregate"}})
			Must(t, err)
			defer l.Close()
			if f := Await(t, "the flow's leg", opened); len(f.How.Paths) != 0 {
				t.Errorf("the flow's leg may use %v", f.How.Paths)
			}
			if tt.want == 0 {
				if up.Ahead() {
					t.Error("legs would be opened ahead")
				}
				return
			}
			f := Await(t, "the leg ahead", opened)
			if len(f.How.Paths) != 1 || f.How.Paths[0] != "dsl" || f.To != (proxy.Destination{}) {
				t.Errorf("the leg ahead is %+v", f)
			}
		})
	}
}

// legPaths is an Observer that hands on which paths a leg may use.
type legPaths chan string

func (l legPaths) Opened(_ uapi.Token, _ *mptcpsock.Conn, f *proxy.Flow) {
	l <- "opened " + strings.Join(f.How.Paths, ",")
}
func (l legPaths) Carries(_ uapi.Token, f *proxy.Flow) {
	l <- "carries " + strings.Join(f.How.Paths, ",")
}
func (l legPaths) Closed(uapi.Token) {}

// TestLegAheadIsAlone: a leg that is opened ahead has one path of several, and all once a
// flow on it goes on.
func TestLegAheadIsAlone(t *testing.T) {
	dest := StartDestination(t, Echo)
	_, at := startConcentrator(t, func(c *egress.Config) { c.IdleLegs = 32 })
	told := make(legPaths, 10)
	up := upstreamTo(at.Addr, func(c *leg.Config) {
		c.IdleLegs, c.Ahead, c.Observer = 32, true, told
		c.Paths = leg.NewRanking(&changingPaths{[]leg.Candidate{{Path: "dsl"}, {Path: "lte"}}}, func(string) bool { return true }, nil)
	})
	defer up.Close()
	f := &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "aggregate"}}
	for i, want := range []string{"opened ", "opened dsl"} {
		if i == 0 {
			l, err := up.OpenStream(Within(t), f)
			Must(t, err)
			defer l.Close()
		}
		if got := Await(t, "a leg", told); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	Eventually(t, "the leg waits", func() bool { return up.Idle() == 1 })
	l, err := up.OpenStream(Within(t), f)
	Must(t, err)
	defer l.Close()
	if !l.Reused {
		t.Fatal("the leg that waited was not taken")
	}
	for got := ""; got != "carries "; {
		switch got = Await(t, "the flow has all paths", told); got {
		case "carries dsl", "carries ", "opened dsl":
		default:
			t.Fatalf("told %q", got)
		}
	}
}

// TestEarlyDataTravelsWithTheRequest: what an application sends behind its request needs no
// round trip of its own, on a leg that was there; and arrives once.
func TestEarlyDataTravelsWithTheRequest(t *testing.T) {
	dest := StartDestination(t, Echo)
	onKept(t, func(t *testing.T, l setup) {
		_, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, l.up)
		defer up.Close()
		for _, early := range []string{"", "x", strings.Repeat("early ", 1000), strings.Repeat("too much for that ", 1000)} {
			s := &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}}
			openAndKeep(t, up, s)
			s.Early = []byte(early)
			leg, err := up.OpenStream(Within(t), s)
			Must(t, err)
			if want := len(early) > 0 && len(early) < 8<<10; !leg.Reused || leg.EarlySent != want {
				t.Fatalf("%d bytes: reused %v, sent %v", len(early), leg.Reused, leg.EarlySent)
			}
			say := "later"
			if !leg.EarlySent {
				say = early + say
				early = ""
			}
			if got := Exchange(t, leg.Stream, say); got != early+say {
				t.Errorf("got %d bytes of %d", len(got), len(early+say))
			}
			leg.Close()
		}
	})
}
