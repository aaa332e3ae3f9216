package netpath

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// Source routing: each path address gets a slot, and each slot one table and
// three rules.
//
//	27000+4n   from ADDR lookup 27000+n suppress_prefixlength 7   what is on this link
//	27001+4n   from ADDR lookup main    suppress_prefixlength 7   what main knows better than by default
//	27002+4n   from ADDR lookup 27000+n                           the rest, through this link's gateway
//
// The last rule alone would take the answers of a server on this host away from
// other local networks (a container that talks to the host's WiFi address, a
// LAN behind another interface) and send them to the Internet: the second rule
// keeps them where they are. The first one keeps on-link traffic on its own
// link when two links have the same subnet, as WiFi and Ethernet in one home.
const (
	rulesPerSlot = 4 // three used; four are easier to read in `ip rule`
	maxSlots     = (rtnl.LastNumber - rtnl.FirstNumber + 1) / rulesPerSlot

	// routeMetric is given explicitly because IPv6 would make a 1024 of 0,
	// and a route must read back as it was written.
	routeMetric = 1024
)

// slots numbers the (path, family) pairs, so that a path's table stays the same when
// its address changes or its interface comes back.
type slots map[slotKey]uint32

type slotKey struct {
	path   string
	family rtnl.Family
}

// assign returns the slot of each uplink, -1 when all are taken. A slot of a
// pair that is not in use is given away only when no other is left.
func (s slots) assign(ups []uplink) []int {
	inUse := make(map[slotKey]bool)
	for _, u := range ups {
		inUse[slotKey{u.pathName, u.family()}] = true
	}
	got := make([]int, len(ups))
	for i, u := range ups {
		key := slotKey{u.pathName, u.family()}
		if _, ok := s[key]; !ok {
			n, ok := s.free(inUse)
			if !ok {
				got[i] = -1
				continue
			}
			s[key] = n
		}
		got[i] = int(s[key])
	}
	return got
}

func (s slots) free(inUse map[slotKey]bool) (uint32, bool) {
	taken := make(map[uint32]bool)
	for _, n := range s {
		taken[n] = true
	}
	for n := range uint32(maxSlots) {
		if !taken[n] {
			return n, true
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(s), compareSlotKey) {
		if !inUse[key] {
			n := s[key]
			delete(s, key)
			return n, true
		}
	}
	return 0, false
}

func compareSlotKey(a, b slotKey) int {
	return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.family, b.family))
}

// A plan is the source routing that should exist, or what of it exists.
type plan struct {
	rules  []rtnl.Rule
	routes []rtnl.Route
}

// desired returns the plan for the uplinks and, in their order, the table of
// each, 0 when no slot was left.
func desired(ups []uplink, s slots) (plan, []uint32) {
	var p plan
	tables := make([]uint32, len(ups))
	for i, n := range s.assign(ups) {
		if n < 0 {
			continue
		}
		tables[i] = rtnl.FirstNumber + uint32(n)
		p.rules = append(p.rules, rulesFor(ups[i], uint32(n), tables[i])...)
		p.routes = append(p.routes, routesFor(ups[i], tables[i])...)
	}
	return p, tables
}

// rulesFor returns the rules of a slot: three for the path's address, and three for
// each former one, of the same priorities.
func rulesFor(u uplink, slot, table uint32) (all []rtnl.Rule) {
	for _, addr := range append([]netip.Addr{u.addr}, u.kept...) {
		r := rtnl.Rule{
			Family: u.family(), Src: netip.PrefixFrom(addr, u.family().Bits()),
			Priority: rtnl.FirstNumber + slot*rulesPerSlot, Protocol: rtnl.RouteProtocol,
		}
		onLink, others, rest := r, r, r
		onLink.Table, onLink.Suppress = table, rtnl.SuppressLength
		others.Table, others.Suppress = unix.RT_TABLE_MAIN, rtnl.SuppressLength
		others.Priority++
		rest.Table, rest.Suppress = table, rtnl.NoSuppress
		rest.Priority += 2
		all = append(all, onLink, others, rest)
	}
	return all
}

func routesFor(u uplink, table uint32) []rtnl.Route {
	r := rtnl.Route{
		Family: u.family(), Table: table, OIF: u.index, Src: u.addr,
		Metric: routeMetric, Protocol: rtnl.RouteProtocol, Kind: unix.RTN_UNICAST, Scope: unix.RT_SCOPE_UNIVERSE,
	}
	var rs []rtnl.Route
	for _, p := range u.onLink {
		c := r
		c.Dst, c.Scope = p, linkScope(r.Family)
		rs = append(rs, c)
	}
	d := r
	d.Dst, d.Gateway, d.Limits = rtnl.DefaultPrefix(r.Family), u.gateway, u.limits
	switch {
	case !u.gateway.IsValid():
		d.Scope = linkScope(r.Family)
	case !u.gateway.IsLinkLocalUnicast():
		// The gateway need not lie in a prefix of the link (a /32 from the
		// provider); main has accepted it already.
		d.Flags = unix.RTNH_F_ONLINK
	}
	return append(rs, d)
}

// linkScope is the scope of a route without gateway. IPv6 has no scopes.
func linkScope(f rtnl.Family) uint8 {
	if f == rtnl.IPv4 {
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

// changes lead from one plan to another. They are carried out in the order of
// the fields: a table is complete before a rule points at it and is emptied
// after none does.
type changes struct {
	replaceRoutes []rtnl.Route // exist with another gateway or interface
	addRoutes     []rtnl.Route
	addRules      []rtnl.Rule
	delRules      []rtnl.Rule
	delRoutes     []rtnl.Route
}

func (c changes) empty() bool {
	return len(c.replaceRoutes)+len(c.addRoutes)+len(c.addRules)+len(c.delRules)+len(c.delRoutes) == 0
}

// reconcile returns what turns existing into want.
func reconcile(want, existing plan) changes {
	var c changes
	c.addRules, c.delRules = difference(want.rules, existing.rules)
	add, del := difference(want.routes, comparableRoutes(existing.routes))
	for _, r := range add {
		// Two routes of one prefix and metric cannot be told apart by the
		// kernel, so the new one takes the old one's place.
		same := func(o rtnl.Route) bool {
			return o.Family == r.Family && o.Table == r.Table && o.Dst == r.Dst && o.Metric == r.Metric
		}
		if slices.ContainsFunc(del, same) {
			del = slices.DeleteFunc(del, same)
			c.replaceRoutes = append(c.replaceRoutes, r)
		} else {
			c.addRoutes = append(c.addRoutes, r)
		}
	}
	c.delRoutes = del
	return c
}

// comparableRoutes drops the flags that the kernel sets by itself.
func comparableRoutes(routes []rtnl.Route) []rtnl.Route {
	rs := slices.Clone(routes)
	for i := range rs {
		rs[i].Flags &= unix.RTNH_F_ONLINK
	}
	return rs
}

// difference returns what is in want only, and what is in have only. Doubles
// in have are surplus.
func difference[T comparable](want, have []T) (missing, surplus []T) {
	left := make(map[T]int)
	for _, w := range want {
		left[w]++
	}
	for _, h := range have {
		if left[h] > 0 {
			left[h]--
		} else {
			surplus = append(surplus, h)
		}
	}
	for _, w := range want {
		if left[w] > 0 {
			left[w]--
			missing = append(missing, w)
		}
	}
	return missing, surplus
}
