package netpath

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// TestObstacles: rules before ours that catch what leaves from eth0, beside the
// tunnel tun0 in table 52.
func TestObstacles(t *testing.T) {
	into := func(r rtnl.Route) rtnl.Route { return inTable(r, 52) }
	tunnel := into(testDefault(2, "", rtnl.IPv4, 0))
	for _, tt := range []struct {
		name  string
		rule  rtnl.Rule
		route rtnl.Route
		want  []Obstacle
	}{
		{"into a tunnel", rtnl.Rule{Priority: 5270, Table: 52}, tunnel, []Obstacle{{Diverts, "5270: from all lookup 52", "Tailscale", "tun0", "eth0"}}},
		{"a half of everything", rtnl.Rule{Priority: 100, Table: 52}, func() rtnl.Route {
			r := tunnel
			r.Dst = netip.MustParsePrefix("0.0.0.0/1")
			return r
		}(), []Obstacle{{Diverts, "100: from all lookup 52", "Tailscale", "tun0", "eth0"}}},
		{"behind ours", rtnl.Rule{Priority: 32764, Table: 52}, tunnel, nil},
		{"of another address", rtnl.Rule{Priority: 100, Table: 52, Src: netip.MustParsePrefix("198.51.100.0/24")}, tunnel, nil},
		{"of marked traffic", rtnl.Rule{Priority: 100, Table: 52, Mark: 1, Mask: 0xff}, tunnel, nil},
		{
			"of all but marked traffic",
			rtnl.Rule{Priority: 100, Table: 52, Mark: 1, Mask: 0xff, Inverted: true},
			tunnel,
			[]Obstacle{{Diverts, "100: not from all fwmark 0x1/0xff lookup 52", "Tailscale", "tun0", "eth0"}},
		},
		{"of forwarded traffic", rtnl.Rule{Priority: 100, Table: 52, IIF: "lan0"}, tunnel, nil},
		{"of some ports", rtnl.Rule{Priority: 100, Table: 52, Narrow: true}, tunnel, nil},
		{"of a destination", rtnl.Rule{Priority: 100, Table: 52, Dst: netip.MustParsePrefix("10.0.0.0/8")}, tunnel, nil},
		{"without default routes", rtnl.Rule{Priority: 100, Table: 52, Suppress: rtnl.SuppressLength}, tunnel, nil},
		{"over the path itself", rtnl.Rule{Priority: 100, Table: 52}, into(testDefault(1, "192.0.2.1", rtnl.IPv4, 0)), nil},
		{"an empty table", rtnl.Rule{Priority: 100, Table: 7}, tunnel, nil},
		{"a kill switch", rtnl.Rule{Priority: 100, Table: 52}, func() rtnl.Route {
			r := tunnel
			r.Kind, r.OIF = unix.RTN_UNREACHABLE, 0
			return r
		}(), []Obstacle{{Stops, "100: from all lookup 52", "Tailscale", "unreachable", "eth0"}}},
		{
			"a rule without a table",
			rtnl.Rule{Priority: 2000, Action: unix.FR_ACT_PROHIBIT, Src: netip.MustParsePrefix("192.0.2.2/32")},
			tunnel,
			[]Obstacle{{Stops, "2000: from 192.0.2.2 prohibit", "mwan3", "prohibit", "eth0"}},
		},
		{"of the other family", rtnl.Rule{Family: rtnl.IPv6, Priority: 100, Table: 52}, tunnel, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := tunnelled("tun", rtnl.HardwareNone)
			sys.Routes = append(sys.Routes[:1], tt.route)
			if tt.rule.Family == rtnl.AnyFamily {
				tt.rule.Family = rtnl.IPv4
			}
			if tt.rule.Suppress == 0 {
				tt.rule.Suppress = rtnl.NoSuppress
			}
			sys.Rules = []rtnl.Rule{tt.rule}
			paths, _ := discover(sys, nil, newMemory())
			diff(t, "obstacles", tt.want, obstacles(sys, paths))
		})
	}
}
