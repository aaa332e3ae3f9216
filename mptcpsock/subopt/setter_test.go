package subopt_test

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/test/conns"
)

// TestSubflowsDiffer gives the two subflows of a connection different congestion
// controls and minimum RTOs, at both ends, reads both back, and looks at what the
// kernel does with them.
func TestSubflowsDiffer(t *testing.T) {
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			w := newWorld(t, family)
			setters := map[bool]*subopt.Setter{false: open(t, w.client), true: open(t, w.server)}
			p := w.dial(t, family, w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
			ctx := testContext(t)
			wanted := [...]struct {
				congestion string
				minRTO     time.Duration
			}{{"reno", 40 * time.Millisecond}, {"cubic", 120 * time.Millisecond}}
			for i, e := range p.ends(t) {
				want, s := wanted[i/2], setters[e.server]
				must(t, s.Set(ctx, e.local, e.remote, subopt.Congestion, subopt.Text(want.congestion)))
				must(t, s.Set(ctx, e.local, e.remote, subopt.MinRTO, subopt.Duration(want.minRTO)))
			}
			for i, e := range p.ends(t) {
				want, s := wanted[i/2], setters[e.server]
				if got, err := s.Get(ctx, e.local, e.remote, subopt.Congestion); err != nil || got.Text() != want.congestion {
					t.Errorf("%v: congestion control %v, %v, want %v", e, got, err, want.congestion)
				}
				if got, err := s.Get(ctx, e.local, e.remote, subopt.MinRTO); err != nil || got.Duration() != want.minRTO {
					t.Errorf("%v: minimum RTO %v, %v, want %v", e, got, err, want.minRTO)
				}
				if got := w.diagnose(t, e).congestion; got != want.congestion {
					t.Errorf("%v: the kernel runs %q, want %q", e, got, want.congestion)
				}
				conns.Until(t, "the RTO of "+e.String()+" to follow", func() bool {
					conns.Transfer(t, p.client, p.server)
					conns.Transfer(t, p.server, p.client)
					rto := p.tcp(t, e).RTO
					return rto >= want.minRTO && rto < want.minRTO+60*time.Millisecond
				})
			}
		})
	}
}
