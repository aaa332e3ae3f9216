package netpath

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// bestAddress returns the source address to use on an interface behind a default
// route: the one that the route prefers, else one that belongs to the gateway's
// prefix, else one that stays.
func bestAddress(addrs []rtnl.Address, index int, def rtnl.Route) (netip.Addr, bool) {
	var usable []rtnl.Address
	for _, a := range addrs {
		if a.Index == index && a.Addr.IsValid() && rtnl.FamilyOf(a.Addr) == def.Family && isUsable(a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return netip.Addr{}, false
	}
	return slices.MinFunc(usable, func(a, b rtnl.Address) int { return compareAddresses(a, b, def) }).Addr, true
}

// isUsable reports whether new connections may use an address as their source. A
// deprecated one is the last resort (RFC 4862 section 5.5.4).
func isUsable(a rtnl.Address) bool {
	if !a.Addr.IsGlobalUnicast() || a.Scope != unix.RT_SCOPE_UNIVERSE && a.Scope != unix.RT_SCOPE_SITE {
		return false
	}
	if a.Flags&unix.IFA_F_DADFAILED != 0 {
		return false
	}
	// An optimistic address may be used while it is tentative (RFC 4429).
	return a.Flags&unix.IFA_F_TENTATIVE == 0 || a.Flags&unix.IFA_F_OPTIMISTIC != 0
}

// compareAddresses orders usable addresses, the best first: no deprecated one; what
// the route prefers; what belongs to the gateway; no unique-local address where
// there is a global one; no temporary (RFC 8981) or secondary one, both of which
// are the same bit; no optimistic one; one that was set to stay. The last resort is
// the value, so that the choice does not depend on the order of the dump or on the
// clock.
func compareAddresses(a, b rtnl.Address, def rtnl.Route) int {
	without := func(flag uint32) int { return compareBool(a.Flags&flag != 0, b.Flags&flag != 0) }
	return cmp.Or(
		without(unix.IFA_F_DEPRECATED),
		compareBool(a.Addr != def.Src, b.Addr != def.Src),
		compareBool(!a.BelongsTo(def.Gateway), !b.BelongsTo(def.Gateway)),
		compareBool(isUniqueLocal(a.Addr), isUniqueLocal(b.Addr)),
		without(unix.IFA_F_TEMPORARY),
		without(unix.IFA_F_OPTIMISTIC),
		compareBool(a.Flags&unix.IFA_F_PERMANENT == 0, b.Flags&unix.IFA_F_PERMANENT == 0),
		a.Addr.Compare(b.Addr),
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
func onLinkPrefixes(routes []rtnl.Route, index int, fam rtnl.Family) []netip.Prefix {
	var ps []netip.Prefix
	for _, r := range routes {
		configured := r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA || r.Protocol == unix.RTPROT_DHCP
		if r.Family != fam || r.OIF != index || r.IsDefault() || r.Kind != unix.RTN_UNICAST ||
			r.Gateway.IsValid() || !configured || r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast() {
			continue
		}
		ps = append(ps, r.Dst)
	}
	slices.SortFunc(ps, comparePrefix)
	return slices.Compact(ps)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
