package netpath

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// wanted is the plan of twoLinks, whose three addresses take slots 0 to 2.
func wanted(t *testing.T) (plan, []uplink) {
	t.Helper()
	_, ups := discover(twoLinks(), nil, newMemory())
	p, tables := desired(ups, make(slots))
	diff(t, "tables", []uint32{27000, 27001, 27002}, tables)
	return p, ups
}

func TestDesired(t *testing.T) {
	p, ups := wanted(t)
	src := netip.MustParsePrefix("2001:db8::2/128")
	diff(t, "rules of the second address", []rtnl.Rule{
		{Family: rtnl.IPv6, Priority: 27004, Src: src, Table: 27001, Protocol: 77, Suppress: 7},
		{Family: rtnl.IPv6, Priority: 27005, Src: src, Table: 254, Protocol: 77, Suppress: 7},
		{Family: rtnl.IPv6, Priority: 27006, Src: src, Table: 27001, Protocol: 77, Suppress: -1},
	}, p.rules[3:6])

	ups[0].onLink = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	ups[0].limits.MTU = 1400
	base := rtnl.Route{Family: rtnl.IPv4, Table: 27009, OIF: 1, Src: ups[0].addr, Metric: 1024, Protocol: 77, Kind: unix.RTN_UNICAST}
	onLink, def := base, base
	onLink.Dst, onLink.Scope = ups[0].onLink[0], unix.RT_SCOPE_LINK
	def.Dst, def.Gateway, def.Flags, def.Limits.MTU = netip.MustParsePrefix("0.0.0.0/0"), ups[0].gateway, unix.RTNH_F_ONLINK, 1400
	diff(t, "routes by a gateway", []rtnl.Route{onLink, def}, routesFor(ups[0], 27009))

	linkLocal := routesFor(ups[1], 27009)[0]
	diff(t, "flags with a link-local gateway", uint32(0), linkLocal.Flags)
	p2p := routesFor(ups[2], 27009)[0]
	diff(t, "scope without a gateway", uint8(unix.RT_SCOPE_LINK), p2p.Scope)
}

func TestEverythingOursIsInRange(t *testing.T) {
	var ups []uplink
	for i := range maxSlots + 3 {
		ups = append(ups, uplink{pathName: fmt.Sprintf("eth%d", i), index: i + 1, addr: netip.MustParseAddr("192.0.2.1")})
	}
	s := make(slots)
	p, tables := desired(ups, s)
	for _, r := range p.rules {
		if !rtnl.IsOwnRule(r) {
			t.Errorf("%+v is not recognised as ours", r)
		}
		if got := tableOfRule(r); r.Table != unix.RT_TABLE_MAIN && got != r.Table {
			t.Errorf("rule %d belongs to table %d, not %d", r.Priority, r.Table, got)
		}
	}
	for _, r := range p.routes {
		if !rtnl.IsOwnRoute(r) {
			t.Errorf("%+v is not recognised as ours", r)
		}
	}
	diff(t, "addresses without a slot", []uint32{0, 0, 0}, tables[maxSlots:])
	diff(t, "rules", 3*maxSlots, len(p.rules))

	// An address that needs a slot gets that of one which is not there.
	_, again := desired(append(ups[1:maxSlots:maxSlots], ups[maxSlots]), s)
	diff(t, "table of a slot that was given away", tables[0], again[maxSlots-1])
	diff(t, "tables of the others", tables[1:maxSlots], again[:maxSlots-1])
}

func TestSlotsStay(t *testing.T) {
	_, ups := wanted(t)
	s := make(slots)
	s.assign(ups)
	diff(t, "one address alone", []int{2}, s.assign(ups[2:]))
	other := ups[2]
	other.addr, other.index = netip.MustParseAddr("198.51.100.77"), 99
	diff(t, "another address of the interface", []int{0, 1, 2}, s.assign([]uplink{ups[0], ups[1], other}))
}

func TestReconcile(t *testing.T) {
	want, _ := wanted(t)
	stale := want.routes[0]
	stale.Gateway = netip.MustParseAddr("192.0.2.99")
	marked := want.routes[0]
	marked.Flags |= unix.RTNH_F_LINKDOWN | unix.RTNH_F_OFFLOAD
	extra := want.rules[0]
	extra.Priority = 27250
	foreignTable := want.routes[0]
	foreignTable.Table = 27200
	for _, tt := range []struct {
		name     string
		existing plan
		want     changes
	}{
		{"nothing there", plan{}, changes{addRoutes: want.routes, addRules: want.rules}},
		{"all there", want, changes{}},
		{"flags of the kernel", plan{want.rules, append([]rtnl.Route{marked}, want.routes[1:]...)}, changes{}},
		{"another gateway", plan{want.rules, append([]rtnl.Route{stale}, want.routes[1:]...)}, changes{replaceRoutes: want.routes[:1]}},
		{"a rule is gone", plan{want.rules[1:], want.routes}, changes{addRules: want.rules[:1]}},
		{"a rule too much", plan{append([]rtnl.Rule{extra}, want.rules...), want.routes}, changes{delRules: []rtnl.Rule{extra}}},
		{"a route too much", plan{want.rules, append([]rtnl.Route{foreignTable}, want.routes...)}, changes{delRoutes: []rtnl.Route{foreignTable}}},
	} {
		t.Run(tt.name, func(t *testing.T) { diff(t, "changes", tt.want, reconcile(want, tt.existing)) })
	}
	diff(t, "to take all back", changes{delRules: want.rules, delRoutes: want.routes}, reconcile(plan{}, want))
}

func TestFillTables(t *testing.T) {
	paths, ups := discover(twoLinks(), nil, newMemory())
	_, tables := desired(ups, make(slots))
	fillTables(paths, ups, tables, map[uint32]error{27001: unix.EINVAL})
	diff(t, "tables", []uint32{27000, 0, 27002}, []uint32{paths[0].Addrs[0].Table, paths[0].Addrs[1].Table, paths[1].Addrs[0].Table})
}

func TestIsOwn(t *testing.T) {
	for _, tt := range []struct {
		r   rtnl.Rule
		own bool
	}{
		{rtnl.Rule{Priority: 27000, Protocol: 77}, true},
		{rtnl.Rule{Priority: 27255, Protocol: 77}, true},
		{rtnl.Rule{Priority: 26999, Protocol: 77}, false},
		{rtnl.Rule{Priority: 27256, Protocol: 77}, false},
		{rtnl.Rule{Priority: 27000, Protocol: unix.RTPROT_STATIC}, false},
		{rtnl.Rule{Priority: 27000}, false},
	} {
		diff(t, fmt.Sprintf("%+v", tt.r), tt.own, rtnl.IsOwnRule(tt.r))
		diff(t, fmt.Sprintf("route like %+v", tt.r), tt.own, rtnl.IsOwnRoute(rtnl.Route{Table: tt.r.Priority, Protocol: tt.r.Protocol}))
	}
}
