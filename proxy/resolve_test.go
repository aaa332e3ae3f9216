package proxy_test

import (
	"net/netip"
	"testing"

	"mpproxy/proxy/egress"
	. "mpproxy/proxy/proxytest"
)

// TestResolve: Tor's RESOLVE is answered with an address that the concentrator found, and
// may connect to.
func TestResolve(t *testing.T) {
	resolver := StartNameServer(t, map[string][]netip.Addr{
		"four.test.":   Addrs("127.0.0.7", "2001:db8::7"),
		"six.test.":    Addrs("2001:db8::7"),
		"inside.test.": Addrs("10.1.2.3"),
	})
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.Resolver = resolver })
		front, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		resolve := func(name string) []byte {
			b := ConnectName(name, 0)
			b[1] = 0xF0
			return b
		}
		for _, tt := range []struct {
			request, want []byte
		}{
			{resolve("four.test"), []byte{5, 0, 5, 0, 0, 1, 127, 0, 0, 7, 0, 0}},
			{resolve("six.test"), Join([]byte{5, 0, 5, 0, 0, 4}, netip.MustParseAddr("2001:db8::7").AsSlice(), []byte{0, 0})},
			{resolve("127.0.0.9"), []byte{5, 0, 5, 0, 0, 1, 127, 0, 0, 9, 0, 0}},
			{resolve("inside.test"), []byte{5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0}},
			{resolve("nosuch.test"), []byte{5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0}},
		} {
			c := DialPlain(t, f.Addr)
			if got := Exchange(t, c, string(Join(GreetNone(), tt.request))); got != string(tt.want) {
				t.Errorf("asked % x: got % x, want % x", tt.request, got, tt.want)
			}
		}
		Eventually(t, "nothing is left", func() bool { return conc.InUse()+front.InUse() == 0 })
	})
}
