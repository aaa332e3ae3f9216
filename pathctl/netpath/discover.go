package netpath

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// An uplink is one address of a path with what source routing needs to know.
type uplink struct {
	iface    string
	index    int
	addr     netip.Addr
	gateway  netip.Addr     // invalid: point-to-point
	onLink   []netip.Prefix // reachable on the link without the gateway, sorted
	limits   routeLimits
	metric   uint32
	pathName string
}

func (u uplink) family() Family { return familyOf(u.addr) }

// A found is a path before it has a name and rank.
type found struct {
	path     Path
	selector int // index, -1: none
	metric   uint32
	uplinks  []uplink
}

// discover returns the paths that a system has, best rank first, and the
// uplinks behind their addresses. names remembers, for the length of a run,
// which path name an interface got: a name must not move to another interface
// when one of several that match a pattern goes away.
func discover(sys system, sels []Selector, names map[string]string) ([]Path, []uplink) {
	var all []found
	for _, l := range sys.links {
		_, known := names[l.name]
		if f, ok := examine(sys, l, sels, known); ok {
			all = append(all, f)
		}
	}
	all = append(all, missing(sels, all)...)
	// Links come in the order of their indexes; names must not depend on it.
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.path.Interface, b.path.Interface) })
	nameAll(all, sels, names)
	rankAll(all, sels)

	var paths []Path
	var uplinks []uplink
	for _, f := range all {
		paths = append(paths, f.path)
		for _, u := range f.uplinks {
			u.pathName = f.path.Name
			uplinks = append(uplinks, u)
		}
	}
	return paths, uplinks
}

// examine judges one interface; not ok means that it is none of our business.
// One that is known has been a path before: it is shown while it is down, so
// that a user sees what has become of it.
func examine(sys system, l link, sels []Selector, known bool) (found, bool) {
	i := matchSelector(sels, l.name)
	if i < 0 && len(sels) > 0 {
		return found{}, false
	}
	var sel Selector
	if i >= 0 {
		sel = sels[i]
	}
	byName := i >= 0 && !sel.isPattern()
	if l.flags&unix.IFF_LOOPBACK != 0 && !byName {
		return found{}, false
	}
	f := found{selector: i, metric: math.MaxUint32, path: Path{
		Interface: l.name, Index: l.index, Metered: sel.Metered, Weak: sys.weak[l.index],
		RxBytes: l.counters.RxBytes, TxBytes: l.counters.TxBytes,
	}}
	f.uplinks, f.path.Reason = uplinksOf(sys, l, sel)
	for _, u := range f.uplinks {
		f.path.State = Up
		f.path.Addrs = append(f.path.Addrs, Addr{Addr: u.addr, Gateway: u.gateway})
		f.metric = min(f.metric, u.metric)
	}
	if f.path.State == Down && !byName && !known && (i < 0 || l.master != 0) {
		return found{}, false // not asked for, or the port of a bridge that is
	}
	return f, true
}

// uplinksOf returns the usable addresses of an interface, or why there is none.
func uplinksOf(sys system, l link, sel Selector) ([]uplink, string) {
	if fault := linkFault(l); fault != "" {
		return nil, fault
	}
	var ups []uplink
	reason := "no address"
	for _, fam := range []Family{IPv4, IPv6} {
		if !sel.wants(fam) {
			continue
		}
		def, hasDefault := bestDefault(sys.routes, l.index, fam)
		addr, hasAddr := bestAddress(sys.addrs, l.index, fam, def.src)
		switch {
		case hasAddr && hasDefault:
			ups = append(ups, uplink{
				iface: l.name, index: l.index, addr: addr, gateway: def.gateway, metric: def.metric,
				onLink: onLinkPrefixes(sys.routes, l.index, fam), limits: def.limits,
			})
		case hasAddr:
			reason = "no default route"
		case hasDefault && reason == "no address":
			reason = fmt.Sprintf("no usable %v address", fam)
		}
	}
	if len(ups) > 0 {
		return ups, ""
	}
	if sel.Family != AnyFamily {
		reason += fmt.Sprintf(" (%v only)", sel.Family)
	}
	return nil, reason
}

// bestDefault returns the default route of lowest metric through an interface.
func bestDefault(routes []route, index int, fam Family) (route, bool) {
	var best route
	ok := false
	for _, r := range routes {
		if r.family != fam || r.oif != index || !r.isDefault() || r.kind != unix.RTN_UNICAST ||
			r.flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0 {
			continue
		}
		if !ok || r.metric < best.metric {
			best, ok = r, true
		}
	}
	return best, ok
}

// onLinkPrefixes returns what the main table reaches through an interface
// without a gateway because of how the link is configured. Routes that somebody
// added by hand stay in the main table, which our rules consult as well.
func onLinkPrefixes(routes []route, index int, fam Family) []netip.Prefix {
	var ps []netip.Prefix
	for _, r := range routes {
		configured := r.protocol == unix.RTPROT_KERNEL || r.protocol == unix.RTPROT_RA || r.protocol == unix.RTPROT_DHCP
		if r.family != fam || r.oif != index || r.isDefault() || r.kind != unix.RTN_UNICAST ||
			r.gateway.IsValid() || !configured || r.dst.Addr().IsLinkLocalUnicast() || r.dst.Addr().IsMulticast() {
			continue
		}
		ps = append(ps, r.dst)
	}
	slices.SortFunc(ps, comparePrefix)
	return slices.Compact(ps)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// bestAddress returns the source address to use on an interface: the one that
// the default route prefers, else one that stays.
func bestAddress(addrs []address, index int, fam Family, preferred netip.Addr) (netip.Addr, bool) {
	var usable []address
	for _, a := range addrs {
		if a.index == index && a.addr.IsValid() && familyOf(a.addr) == fam && isUsable(a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return netip.Addr{}, false
	}
	return slices.MinFunc(usable, func(a, b address) int { return compareAddresses(a, b, preferred) }).addr, true
}

// isUsable reports whether new connections may use an address as their source.
func isUsable(a address) bool {
	if !a.addr.IsGlobalUnicast() || a.scope != unix.RT_SCOPE_UNIVERSE && a.scope != unix.RT_SCOPE_SITE {
		return false
	}
	if a.flags&(unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) != 0 {
		return false
	}
	// An optimistic address may be used while it is tentative (RFC 4429).
	return a.flags&unix.IFA_F_TENTATIVE == 0 || a.flags&unix.IFA_F_OPTIMISTIC != 0
}

// compareAddresses orders usable addresses, the best first: what the route
// prefers; no unique-local address where there is a global one; no temporary
// (RFC 8981) or secondary one, both of which are the same bit; no optimistic
// one; one that was set to stay. The last resort is the value, so that the
// choice does not depend on the order of the dump or on the clock.
func compareAddresses(a, b address, preferred netip.Addr) int {
	return cmp.Or(
		compareBool(a.addr != preferred, b.addr != preferred),
		compareBool(isUniqueLocal(a.addr), isUniqueLocal(b.addr)),
		compareBool(a.flags&unix.IFA_F_TEMPORARY != 0, b.flags&unix.IFA_F_TEMPORARY != 0),
		compareBool(a.flags&unix.IFA_F_OPTIMISTIC != 0, b.flags&unix.IFA_F_OPTIMISTIC != 0),
		compareBool(a.flags&unix.IFA_F_PERMANENT == 0, b.flags&unix.IFA_F_PERMANENT == 0),
		a.addr.Compare(b.addr),
	)
}

func isUniqueLocal(a netip.Addr) bool { return a.Is6() && a.IsPrivate() }

// compareBool sorts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// missing returns a down path for each selector that matches no interface.
func missing(sels []Selector, all []found) []found {
	var down []found
	for i, s := range sels {
		if slices.ContainsFunc(all, func(f found) bool { return s.matches(f.path.Interface) }) {
			continue
		}
		reason := "not found"
		if s.isPattern() {
			reason = "no interface matches " + s.Interface
		}
		down = append(down, found{selector: i, metric: math.MaxUint32, path: Path{
			Interface: s.Interface, Metered: s.Metered, Reason: reason,
		}})
	}
	return down
}
