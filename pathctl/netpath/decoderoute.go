package netpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// decodeRoute returns one route for each next hop of the message. What rtnetlink
// does not know of it (RTA_VIA, RTA_NH_ID) is read here.
func decodeRoute(b []byte) ([]route, error) {
	var m rtnetlink.RouteMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("decode route: %w", err)
	}
	r := route{
		family: familyFromKernel(m.Family), table: uint32(m.Table), protocol: m.Protocol,
		kind: m.Type, scope: m.Scope, flags: m.Flags,
		gateway: toAddr(m.Attributes.Gateway), oif: int(m.Attributes.OutIface),
		src: toAddr(m.Attributes.Src), metric: m.Attributes.Priority,
	}
	if r.family == AnyFamily {
		return nil, fmt.Errorf("decode route: family %d: %w", m.Family, errors.ErrUnsupported)
	}
	if m.Attributes.Table != 0 {
		r.table = m.Attributes.Table
	}
	var err error
	if r.dst, err = toPrefix(r.family, m.Attributes.Dst, m.DstLength); err != nil {
		return nil, fmt.Errorf("decode route: destination: %w", err)
	}
	if x := m.Attributes.Metrics; x != nil {
		r.limits = routeLimits{mtu: x.MTU, advMSS: x.AdvMSS, initCwnd: x.InitCwnd, initRwnd: x.InitRwnd}
	}
	if len(m.Attributes.Multipath) > 0 {
		var hops []route
		for _, nh := range m.Attributes.Multipath {
			h := r
			h.oif, h.gateway, h.flags = int(nh.Hop.IfIndex), toAddr(nh.Gateway), uint32(nh.Hop.Flags)
			hops = append(hops, h)
		}
		return hops, nil
	}
	via, nexthop := decodeHop(b)
	if !r.gateway.IsValid() {
		r.gateway = via
	}
	if r.oif == 0 { // else the object's content is in the message as well
		r.nexthop = nexthop
	}
	return []route{r}, nil
}

// rtaNextHopID is RTA_NH_ID (include/uapi/linux/rtnetlink.h), which x/sys lacks.
const rtaNextHopID = 30

// decodeHop reads RTA_VIA (struct rtvia), the IPv6 gateway of an IPv4 route (RFC
// 5549, Linux 5.2), and RTA_NH_ID, the nexthop object that a route refers to.
func decodeHop(b []byte) (gateway netip.Addr, nexthop uint32) {
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return netip.Addr{}, 0
	}
	for ad.Next() {
		switch v := ad.Bytes(); {
		case ad.Type() == unix.RTA_VIA && len(v) == 2+16 && binary.NativeEndian.Uint16(v[:2]) == unix.AF_INET6:
			gateway = toAddr(v[2:])
		case ad.Type() == rtaNextHopID && len(v) == 4:
			nexthop = binary.NativeEndian.Uint32(v)
		}
	}
	return gateway, nexthop
}

// A nexthop is an object that routes refer to (ip nexthop, Linux 5.3): a way out, or
// a group of others.
type nexthop struct {
	id      uint32
	oif     int
	gateway netip.Addr
	flags   uint32 // RTNH_F_*
	group   []uint32
}

// decodeNexthop reads RTM_NEWNEXTHOP (struct nhmsg, include/uapi/linux/nexthop.h).
func decodeNexthop(b []byte) (nexthop, error) {
	const (
		headerLen = 8 // family, scope, protocol, a byte, flags
		entryLen  = 8 // struct nexthop_grp: id, weight, and padding
	)
	if len(b) < headerLen {
		return nexthop{}, fmt.Errorf("decode nexthop: %w", errShort)
	}
	n := nexthop{flags: binary.NativeEndian.Uint32(b[4:headerLen])}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return nexthop{}, fmt.Errorf("decode nexthop: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NHA_ID:
			n.id = ad.Uint32()
		case unix.NHA_OIF:
			n.oif = int(ad.Uint32())
		case unix.NHA_GATEWAY:
			n.gateway = toAddr(ad.Bytes())
		case unix.NHA_GROUP:
			for g := ad.Bytes(); len(g) >= entryLen; g = g[entryLen:] {
				n.group = append(n.group, binary.NativeEndian.Uint32(g))
			}
		}
	}
	return n, ad.Err()
}

// resolve puts the content of nexthop objects into the routes that refer to them,
// which the kernel leaves out with net.ipv4.nexthop_compat_mode=0. A group makes a
// route of each of its members; groups hold no groups.
func resolve(routes []route, objects map[uint32]nexthop) []route {
	var out []route
	for _, r := range routes {
		if r.nexthop == 0 {
			out = append(out, r)
			continue
		}
		members := objects[r.nexthop].group
		if len(members) == 0 {
			members = []uint32{r.nexthop}
		}
		for _, id := range members {
			if n, ok := objects[id]; ok {
				h := r
				h.oif, h.gateway, h.flags, h.nexthop = n.oif, n.gateway, r.flags|n.flags, 0
				out = append(out, h)
			}
		}
	}
	return out
}

// ruleInverted is FIB_RULE_INVERT (include/uapi/linux/fib_rules.h).
const ruleInverted = 2

func decodeRule(b []byte) (rule, error) {
	var m rtnetlink.RuleMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return rule{}, fmt.Errorf("decode rule: %w", err)
	}
	r := rule{family: familyFromKernel(m.Family), table: uint32(m.Table), suppress: noSuppress}
	if r.family == AnyFamily {
		return rule{}, fmt.Errorf("decode rule: family %d: %w", m.Family, errors.ErrUnsupported)
	}
	if m.Action != unix.FR_ACT_TO_TBL {
		r.action = m.Action
	}
	r.inverted, r.narrow = m.Flags&ruleInverted != 0, m.TOS != 0
	at := m.Attributes
	if at == nil {
		return r, nil
	}
	r.table, r.priority, r.protocol = valueOr(at.Table, r.table), valueOr(at.Priority, 0), valueOr(at.Protocol, 0)
	r.mark, r.mask = valueOr(at.FwMark, 0), valueOr(at.FwMask, 0)
	r.iif, r.oif = valueOr(at.IIFName, ""), valueOr(at.OIFName, "")
	r.suppress = int32(valueOr(at.SuppressPrefixLen, ^uint32(0)))
	r.narrow = r.narrow || at.UIDRange != nil || at.IPProto != nil || at.SPortRange != nil || at.DPortRange != nil ||
		at.TunID != nil && *at.TunID != 0 || at.L3MDev != nil && *at.L3MDev != 0
	var err, dstErr error
	r.src, err = prefixOf(r.family, at.Src, m.SrcLength)
	r.dst, dstErr = prefixOf(r.family, at.Dst, m.DstLength)
	if err = errors.Join(err, dstErr); err != nil {
		return rule{}, fmt.Errorf("decode rule: %w", err)
	}
	return r, nil
}

func valueOr[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// prefixOf is not valid where a rule has no such address.
func prefixOf(f Family, ip *net.IP, bits uint8) (netip.Prefix, error) {
	if ip == nil {
		return netip.Prefix{}, nil
	}
	return toPrefix(f, *ip, bits)
}
