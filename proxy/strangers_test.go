package proxy_test

import (
	"net"
	"testing"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
)

// TestStrangersTakeNoPlaces: peers that never say who they are hold none of the places of
// users, and of the strangers' places only those that nobody else needs.
func TestStrangersTakeNoPlaces(t *testing.T) {
	dest := StartDestination(t, Hold)
	const places = 4
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, func(c *egress.Config) {
			l.conc(c)
			c.MaxConnections = 1
			c.Strangers = serve.StrangerLimits{Most: places, PerSource: places, V4Bits: 32, V6Bits: 64}
		})
		var silent []*net.TCPConn
		for range 3 * places {
			silent = append(silent, DialPlain(t, at.Addr))
		}
		got, err := upstreamTo(at.Addr, l.up).OpenStream(Within(t), &proxy.Flow{To: To(dest)})
		Must(t, err)
		defer got.Stream.Close()
		for _, c := range silent[:2*places] {
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("a stranger whose place was taken got %d bytes, %v", n, err)
			}
		}
		Eventually(t, "the client has left the strangers", func() bool { return conc.InUse() <= places+1 })
		if n := conc.Table().Totals.Refused.Load(); n < 2*places {
			t.Errorf("%d strangers turned away", n)
		}
	})
}
