package netpath

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestObstacles: rules before ours that catch what leaves from eth0, beside the
// tunnel tun0 in table 52.
func TestObstacles(t *testing.T) {
	into := func(r route) route { return inTable(r, 52) }
	tunnel := into(testDefault(2, "", IPv4, 0))
	for _, tt := range []struct {
		name  string
		rule  rule
		route route
		want  []Obstacle
	}{
		{"into a tunnel", rule{priority: 5270, table: 52}, tunnel, []Obstacle{{Diverts, "5270: from all lookup 52", "Tailscale", "tun0", "eth0"}}},
		{"a half of everything", rule{priority: 100, table: 52}, func() route {
			r := tunnel
			r.dst = netip.MustParsePrefix("0.0.0.0/1")
			return r
		}(), []Obstacle{{Diverts, "100: from all lookup 52", "Tailscale", "tun0", "eth0"}}},
		{"behind ours", rule{priority: 32764, table: 52}, tunnel, nil},
		{"of another address", rule{priority: 100, table: 52, src: netip.MustParsePrefix("198.51.100.0/24")}, tunnel, nil},
		{"of marked traffic", rule{priority: 100, table: 52, mark: 1, mask: 0xff}, tunnel, nil},
		{
			"of all but marked traffic",
			rule{priority: 100, table: 52, mark: 1, mask: 0xff, inverted: true},
			tunnel,
			[]Obstacle{{Diverts, "100: not from all fwmark 0x1/0xff lookup 52", "Tailscale", "tun0", "eth0"}},
		},
		{"of forwarded traffic", rule{priority: 100, table: 52, iif: "lan0"}, tunnel, nil},
		{"of some ports", rule{priority: 100, table: 52, narrow: true}, tunnel, nil},
		{"of a destination", rule{priority: 100, table: 52, dst: netip.MustParsePrefix("10.0.0.0/8")}, tunnel, nil},
		{"without default routes", rule{priority: 100, table: 52, suppress: suppressLength}, tunnel, nil},
		{"over the path itself", rule{priority: 100, table: 52}, into(testDefault(1, "192.0.2.1", IPv4, 0)), nil},
		{"an empty table", rule{priority: 100, table: 7}, tunnel, nil},
		{"a kill switch", rule{priority: 100, table: 52}, func() route {
			r := tunnel
			r.kind, r.oif = unix.RTN_UNREACHABLE, 0
			return r
		}(), []Obstacle{{Stops, "100: from all lookup 52", "Tailscale", "unreachable", "eth0"}}},
		{
			"a rule without a table",
			rule{priority: 2000, action: unix.FR_ACT_PROHIBIT, src: netip.MustParsePrefix("192.0.2.2/32")},
			tunnel,
			[]Obstacle{{Stops, "2000: from 192.0.2.2 prohibit", "mwan3", "prohibit", "eth0"}},
		},
		{"of the other family", rule{family: IPv6, priority: 100, table: 52}, tunnel, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := tunnelled("tun", hardwareNone)
			sys.routes = append(sys.routes[:1], tt.route)
			if tt.rule.family == AnyFamily {
				tt.rule.family = IPv4
			}
			if tt.rule.suppress == 0 {
				tt.rule.suppress = noSuppress
			}
			sys.rules = []rule{tt.rule}
			paths, _ := discover(sys, nil, newMemory())
			diff(t, "obstacles", tt.want, obstacles(sys, paths))
		})
	}
}
