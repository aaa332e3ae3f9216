package netpath

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// bestAddress returns the source address to use on an interface behind a default
// route: the one that the route prefers, else one that belongs to the gateway's
// prefix, else one that stays.
func bestAddress(addrs []address, index int, def route) (netip.Addr, bool) {
	var usable []address
	for _, a := range addrs {
		if a.index == index && a.addr.IsValid() && familyOf(a.addr) == def.family && isUsable(a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return netip.Addr{}, false
	}
	return slices.MinFunc(usable, func(a, b address) int { return compareAddresses(a, b, def) }).addr, true
}

// isUsable reports whether new connections may use an address as their source. A
// deprecated one is the last resort (RFC 4862 section 5.5.4).
func isUsable(a address) bool {
	if !a.addr.IsGlobalUnicast() || a.scope != unix.RT_SCOPE_UNIVERSE && a.scope != unix.RT_SCOPE_SITE {
		return false
	}
	if a.flags&unix.IFA_F_DADFAILED != 0 {
		return false
	}
	// An optimistic address may be used while it is tentative (RFC 4429).
	return a.flags&unix.IFA_F_TENTATIVE == 0 || a.flags&unix.IFA_F_OPTIMISTIC != 0
}

// compareAddresses orders usable addresses, the best first: no deprecated one; what
// the route prefers; what belongs to the gateway; no unique-local address where
// there is a global one; no temporary (RFC 8981) or secondary one, both of which
// are the same bit; no optimistic one; one that was set to stay. The last resort is
// the value, so that the choice does not depend on the order of the dump or on the
// clock.
func compareAddresses(a, b address, def route) int {
	without := func(flag uint32) int { return compareBool(a.flags&flag != 0, b.flags&flag != 0) }
	return cmp.Or(
		without(unix.IFA_F_DEPRECATED),
		compareBool(a.addr != def.src, b.addr != def.src),
		compareBool(!a.belongsTo(def.gateway), !b.belongsTo(def.gateway)),
		compareBool(isUniqueLocal(a.addr), isUniqueLocal(b.addr)),
		without(unix.IFA_F_TEMPORARY),
		without(unix.IFA_F_OPTIMISTIC),
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

// onLinkPrefixes returns what is reached through an interface without a gateway
// because of how the link is configured. Routes that somebody
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
