package netpath

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// An uplink is one address of a path with what source routing needs to know.
type uplink struct {
	iface    string
	index    int
	addr     netip.Addr
	kept     []netip.Addr   // former addresses of the path that still exist
	gateway  netip.Addr     // invalid: point-to-point
	onLink   []netip.Prefix // reachable on the link without the gateway, sorted
	limits   rtnl.RouteLimits
	metric   uint32
	pathName string
}

func (u uplink) family() rtnl.Family { return rtnl.FamilyOf(u.addr) }

// A found is a path before it has a name and rank.
type found struct {
	path     Path
	key      string // by which its name is remembered
	want     string // its name, unless another path has it
	mac      string // of its interface
	selector int    // index, -1: none
	metric   uint32
	uplinks  []uplink
}

// discover returns the paths that a system has, best rank first, and the uplinks
// behind their addresses.
func discover(sys rtnl.System, sels []Selector, mem *memory) ([]Path, []uplink) {
	mem.forgetGone(sys)
	var all []found
	for _, l := range sys.Links {
		all = append(all, examine(sys, l, sels, mem)...)
	}
	all = append(all, missing(sels, all)...)
	// Links come in the order of their indexes; names must not depend on it.
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.path.Interface, b.path.Interface) })
	nameAll(all, mem)
	rankAll(all, sels)

	var paths []Path
	var uplinks []uplink
	for _, f := range all {
		for _, u := range f.uplinks {
			u.pathName, u.kept = f.path.Name, mem.keep(f.key, u)
			f.path.Kept = append(f.path.Kept, u.kept...)
			uplinks = append(uplinks, u)
		}
		paths = append(paths, f.path)
	}
	return paths, uplinks
}

// examine returns the paths over one interface; none means that it is no business of
// ours. One that is known has been a path before: it is shown while it is down, so
// that a user sees what has become of it.
func examine(sys rtnl.System, l rtnl.Link, sels []Selector, mem *memory) (all []found) {
	names := mem.namesOf(l)
	taken := make(map[exit]bool)
	chosen := matchSelectors(sels, names...)
	if len(sels) == 0 {
		chosen = []int{-1}
	}
	for _, i := range chosen {
		var sel Selector
		if i >= 0 {
			sel = sels[i]
		}
		c := choice{sys: sys, link: l, sel: sel, index: i, name: mem.nameOf(l), mem: mem, taken: taken}
		all = append(all, c.paths(len(all) == 0)...)
	}
	for i := range all {
		all[i].path.OtherNames = names[1:]
	}
	return all
}

// A choice is an interface together with a selector that matches it.
type choice struct {
	sys   rtnl.System
	link  rtnl.Link
	sel   Selector
	index int    // of the selector, -1: none
	name  string // of the interface, as it was first seen
	mem   *memory
	taken map[exit]bool // by selectors that come before
}

// An exit is what tells the ways out of one interface apart.
type exit struct {
	family  rtnl.Family
	table   uint32
	gateway netip.Addr
}

func exitOf(r rtnl.Route) exit { return exit{r.Family, r.Table, r.Gateway} }

// A way is the default routes of one path, at most one of each family.
type way []rtnl.Route

// paths returns the paths of the choice: one for each gateway, or one that is down
// and says why. Only the first choice of an interface may have that if it has no
// gateway or table of its own.
func (c choice) paths(first bool) (all []found) {
	named := c.index >= 0 && !c.sel.isPattern()
	if c.link.Flags&unix.IFF_LOOPBACK != 0 && !named {
		return nil
	}
	reason := c.fault()
	if reason == "" {
		for n, w := range c.ways() {
			f := c.found(w, n > 0, first)
			for _, r := range w {
				if addr, ok := bestAddress(c.sys.Addrs, c.link.Index, r); ok {
					f.add(c, r, addr)
				}
			}
			if len(f.uplinks) > 0 {
				all = append(all, f)
			}
		}
		reason = c.lack()
	}
	own := c.sel.Gateway.IsValid() || c.sel.Table != 0
	if len(all) > 0 || !first && !own {
		return all
	}
	f := c.found(nil, false, first)
	f.path.Reason = reason
	_, known := c.mem.names[f.key]
	if named || known || c.elsewhere() != 0 && c.link.Tunnel() == "" || c.index >= 0 && c.link.Master == 0 && !c.unwanted() ||
		c.unwanted() && c.sys.LeadsOut(c.link.Index) {
		return []found{f}
	}
	return nil // not asked for, or the port of a bridge that is
}

// found returns a path without addresses. A further one is not the first of its
// interface.
func (c choice) found(w way, further, first bool) found {
	f := found{selector: c.index, metric: math.MaxUint32, key: c.name, want: c.link.Name, mac: c.link.MAC, path: Path{
		Interface: c.link.Name, Index: c.link.Index, Metered: c.sel.Metered, Weak: c.sys.Weak[c.link.Index],
		RxBytes: c.link.Counters.RxBytes, TxBytes: c.link.Counters.TxBytes,
	}}
	if c.sel.Name != "" {
		f.want = c.sel.Name
	}
	mark := ""
	switch {
	case c.sel.Gateway.IsValid():
		mark = "@" + c.sel.Gateway.String()
	case further:
		mark = "@" + w[0].Gateway.String()
	case c.sel.Table != 0 && !first:
		mark = fmt.Sprintf("@%d", c.sel.Table)
	}
	f.key += mark
	if c.sel.Name == "" || further {
		f.want += mark
	}
	return f
}

// add gives a path an address, and the default route that goes with it.
func (f *found) add(c choice, r rtnl.Route, addr netip.Addr) {
	f.path.State = Up
	f.path.Addrs = append(f.path.Addrs, Addr{Addr: addr, Gateway: r.Gateway})
	f.metric = min(f.metric, r.Metric)
	f.uplinks = append(f.uplinks, uplink{
		iface: c.link.Name, index: c.link.Index, addr: addr, gateway: r.Gateway, metric: r.Metric,
		onLink: onLinkPrefixes(c.sys.Routes, c.link.Index, r.Family), limits: r.Limits,
	})
}

// fault says why an interface is no way out whatever its routes are.
func (c choice) fault() string {
	switch fault := linkFault(c.link); {
	case c.link.IsVRF():
		return "a VRF, which is a routing table and no way out: name an interface that is not in one"
	case fault != "":
		return fault
	case c.unwanted():
		return fmt.Sprintf("a tunnel (%s), which runs over another path: it is used only when it is asked for, with [[path]] or --path", c.link.Tunnel())
	}
	return ""
}

// unwanted reports whether the link is a tunnel that nobody has asked for.
func (c choice) unwanted() bool {
	return c.link.Tunnel() != "" && (c.index < 0 || c.sel.matchesAll())
}

// ways returns the ways out that are left for the choice, the best of each family
// together as the first one, and each further gateway as one of its own: what
// belongs together there cannot be known.
func (c choice) ways() (all []way) {
	var first way
	var further []way
	for _, fam := range []rtnl.Family{rtnl.IPv4, rtnl.IPv6} {
		if !c.sel.wants(fam) {
			continue
		}
		for i, r := range c.routes(fam) {
			switch c.taken[exitOf(r)] = true; {
			case i == 0:
				first = append(first, r)
			case c.distinct(r, append(further, first)):
				further = append(further, way{r})
			}
		}
	}
	if len(first) == 0 {
		return nil
	}
	return append([]way{first}, further...)
}

// distinct reports whether packets can be led through a further gateway: by a source
// address that none of the others has. In IPv6 it has to belong to the gateway as
// well: routers of one network announce themselves all the same.
func (c choice) distinct(r rtnl.Route, others []way) bool {
	addr, ok := bestAddress(c.sys.Addrs, c.link.Index, r)
	if !ok || r.Family == rtnl.IPv6 && addr != r.Src && !c.owns(addr, r.Gateway) {
		return false
	}
	for _, w := range others {
		for _, o := range w {
			if a, ok := bestAddress(c.sys.Addrs, c.link.Index, o); ok && a == addr {
				return false
			}
		}
	}
	return true
}

func (c choice) owns(addr, gateway netip.Addr) bool {
	return slices.ContainsFunc(c.sys.Addrs, func(a rtnl.Address) bool {
		return a.Index == c.link.Index && a.Addr == addr && a.BelongsTo(gateway)
	})
}

// routes returns the default routes of one family that are left for the choice, one
// for each gateway. The one that came first before stays the first; the others
// follow by their metric. A gateway that the selector names needs no route.
func (c choice) routes(fam rtnl.Family) []rtnl.Route {
	table := cmp.Or(c.sel.Table, uint32(unix.RT_TABLE_MAIN))
	var all []rtnl.Route
	for _, r := range c.sys.Routes {
		if r.Family == fam && r.OIF == c.link.Index && r.Table == table && r.IsWay() && !c.taken[exitOf(r)] &&
			(!c.sel.Gateway.IsValid() || r.Gateway == c.sel.Gateway) {
			all = append(all, r)
		}
	}
	if g := c.sel.Gateway; len(all) == 0 && g.IsValid() && rtnl.FamilyOf(g) == fam {
		r := rtnl.Route{Family: fam, Table: table, Dst: rtnl.DefaultPrefix(fam), Gateway: g, OIF: c.link.Index, Kind: unix.RTN_UNICAST, Metric: math.MaxUint32}
		if a, ok := bestAddress(c.sys.Addrs, c.link.Index, r); ok && !c.taken[exitOf(r)] && (g.IsLinkLocalUnicast() || c.owns(a, g)) {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b rtnl.Route) int { return cmp.Compare(a.Metric, b.Metric) })
	var ways []rtnl.Route
	for _, r := range all { // the best of each gateway
		if !slices.ContainsFunc(ways, func(o rtnl.Route) bool { return o.Gateway == r.Gateway }) {
			ways = append(ways, r)
		}
	}
	if c.sel.Gateway.IsValid() || len(ways) == 0 {
		return ways
	}
	before := c.mem.first(c.name, fam)
	slices.SortStableFunc(ways, func(a, b rtnl.Route) int { return compareBool(a.Gateway != before, b.Gateway != before) })
	c.mem.setFirst(c.name, fam, ways[0].Gateway)
	return ways
}

// lack says what an interface without a way out lacks.
func (c choice) lack() string {
	reason := "no address"
	for _, fam := range []rtnl.Family{rtnl.IPv4, rtnl.IPv6} {
		if !c.sel.wants(fam) {
			continue
		}
		_, hasAddr := bestAddress(c.sys.Addrs, c.link.Index, rtnl.Route{Family: fam})
		if hasAddr {
			reason = c.noRoute()
		} else if reason == "no address" && c.leads(fam) {
			reason = fmt.Sprintf("no usable %v address", fam)
		}
	}
	if c.sel.Family != rtnl.AnyFamily {
		reason += fmt.Sprintf(" (%v only)", c.sel.Family)
	}
	return reason
}

// leads reports whether there is a default route of a family.
func (c choice) leads(fam rtnl.Family) bool {
	return slices.ContainsFunc(c.sys.Routes, func(r rtnl.Route) bool {
		return r.Family == fam && r.OIF == c.link.Index && r.Table == cmp.Or(c.sel.Table, uint32(unix.RT_TABLE_MAIN)) && r.IsWay()
	})
}

func (c choice) noRoute() string {
	vrf, table := c.sys.VRFOf(c.link), c.elsewhere()
	switch {
	case c.sel.Gateway.IsValid():
		return fmt.Sprintf("no default route via %v, and no address in one prefix with it", c.sel.Gateway)
	case c.sel.Table != 0:
		return fmt.Sprintf("no default route in table %d", c.sel.Table)
	case vrf != "":
		return "no default route: the interface is in the VRF " + vrf + ", and what is in a VRF is no path"
	case table != 0:
		return fmt.Sprintf("no default route in the main table, which alone counts unless you say otherwise: "+
			"there is one in table %d, which [[path]] uses with table = %[1]d", table)
	}
	return "no default route"
}

// elsewhere returns another table than the selector's with a default route through
// the interface, 0 when there is none.
func (c choice) elsewhere() uint32 {
	i := slices.IndexFunc(c.sys.Routes, func(r rtnl.Route) bool {
		return r.OIF == c.link.Index && r.Table != cmp.Or(c.sel.Table, uint32(unix.RT_TABLE_MAIN)) && r.IsWay()
	})
	if i < 0 {
		return 0
	}
	return c.sys.Routes[i].Table
}

// missing returns a down path for each selector that matches no interface.
func missing(sels []Selector, all []found) []found {
	var down []found
	for i, s := range sels {
		if slices.ContainsFunc(all, func(f found) bool {
			return f.selector == i || s.matches(append([]string{f.path.Interface}, f.path.OtherNames...)...)
		}) {
			continue
		}
		f := found{selector: i, metric: math.MaxUint32, key: s.Interface, want: cmp.Or(s.Name, s.Interface), path: Path{
			Interface: s.Interface, Metered: s.Metered, Reason: "not found",
		}}
		if s.isPattern() {
			f.path.Reason = "no interface matches " + s.Interface
		}
		if s.Gateway.IsValid() {
			f.key += "@" + s.Gateway.String()
			if s.Name == "" {
				f.want = f.key
			}
		}
		down = append(down, f)
	}
	return down
}
