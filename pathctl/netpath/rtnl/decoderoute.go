package rtnl

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

// DecodeRoute returns one route for each next hop of the message. What rtnetlink
// does not know of it (RTA_VIA, RTA_NH_ID) is read here.
func DecodeRoute(b []byte) ([]Route, error) {
	var m rtnetlink.RouteMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("decode route: %w", err)
	}
	r := Route{
		Family: familyFromKernel(m.Family), Table: uint32(m.Table), Protocol: m.Protocol,
		Kind: m.Type, Scope: m.Scope, Flags: m.Flags,
		Gateway: ToAddr(m.Attributes.Gateway), OIF: int(m.Attributes.OutIface),
		Src: ToAddr(m.Attributes.Src), Metric: m.Attributes.Priority,
	}
	if r.Family == AnyFamily {
		return nil, fmt.Errorf("decode route: family %d: %w", m.Family, errors.ErrUnsupported)
	}
	if m.Attributes.Table != 0 {
		r.Table = m.Attributes.Table
	}
	var err error
	if r.Dst, err = toPrefix(r.Family, m.Attributes.Dst, m.DstLength); err != nil {
		return nil, fmt.Errorf("decode route: destination: %w", err)
	}
	if x := m.Attributes.Metrics; x != nil {
		r.Limits = RouteLimits{MTU: x.MTU, AdvMSS: x.AdvMSS, InitCwnd: x.InitCwnd, InitRwnd: x.InitRwnd}
	}
	if len(m.Attributes.Multipath) > 0 {
		var hops []Route
		for _, nh := range m.Attributes.Multipath {
			h := r
			h.OIF, h.Gateway, h.Flags = int(nh.Hop.IfIndex), ToAddr(nh.Gateway), uint32(nh.Hop.Flags)
			hops = append(hops, h)
		}
		return hops, nil
	}
	via, nexthop := decodeHop(b)
	if !r.Gateway.IsValid() {
		r.Gateway = via
	}
	if r.OIF == 0 { // else the object's content is in the message as well
		r.Nexthop = nexthop
	}
	return []Route{r}, nil
}

// NextHopIDAttribute is RTA_NH_ID (include/uapi/linux/rtnetlink.h), which x/sys lacks.
const NextHopIDAttribute = 30

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
			gateway = ToAddr(v[2:])
		case ad.Type() == NextHopIDAttribute && len(v) == 4:
			nexthop = binary.NativeEndian.Uint32(v)
		}
	}
	return gateway, nexthop
}

// A nexthop is an object that routes refer to (ip nexthop, Linux 5.3): a way out, or
// a group of others.
type Nexthop struct {
	ID      uint32
	OIF     int
	Gateway netip.Addr
	Flags   uint32 // RTNH_F_*
	Group   []uint32
}

// decodeNexthop reads RTM_NEWNEXTHOP (struct nhmsg, include/uapi/linux/nexthop.h).
func decodeNexthop(b []byte) (Nexthop, error) {
	const (
		headerLen = 8 // family, scope, protocol, a byte, flags
		entryLen  = 8 // struct nexthop_grp: id, weight, and padding
	)
	if len(b) < headerLen {
		return Nexthop{}, fmt.Errorf("decode nexthop: %w", errShort)
	}
	n := Nexthop{Flags: binary.NativeEndian.Uint32(b[4:headerLen])}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return Nexthop{}, fmt.Errorf("decode nexthop: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NHA_ID:
			n.ID = ad.Uint32()
		case unix.NHA_OIF:
			n.OIF = int(ad.Uint32())
		case unix.NHA_GATEWAY:
			n.Gateway = ToAddr(ad.Bytes())
		case unix.NHA_GROUP:
			for g := ad.Bytes(); len(g) >= entryLen; g = g[entryLen:] {
				n.Group = append(n.Group, binary.NativeEndian.Uint32(g))
			}
		}
	}
	return n, ad.Err()
}

// Resolve puts the content of nexthop objects into the routes that refer to them,
// which the kernel leaves out with net.ipv4.nexthop_compat_mode=0. A group makes a
// route of each of its members; groups hold no groups.
func Resolve(routes []Route, objects map[uint32]Nexthop) []Route {
	var out []Route
	for _, r := range routes {
		if r.Nexthop == 0 {
			out = append(out, r)
			continue
		}
		members := objects[r.Nexthop].Group
		if len(members) == 0 {
			members = []uint32{r.Nexthop}
		}
		for _, id := range members {
			if n, ok := objects[id]; ok {
				h := r
				h.OIF, h.Gateway, h.Flags, h.Nexthop = n.OIF, n.Gateway, r.Flags|n.Flags, 0
				out = append(out, h)
			}
		}
	}
	return out
}

// ruleInverted is FIB_RULE_INVERT (include/uapi/linux/fib_rules.h).
const ruleInverted = 2

func DecodeRule(b []byte) (Rule, error) {
	var m rtnetlink.RuleMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return Rule{}, fmt.Errorf("decode rule: %w", err)
	}
	r := Rule{Family: familyFromKernel(m.Family), Table: uint32(m.Table), Suppress: NoSuppress}
	if r.Family == AnyFamily {
		return Rule{}, fmt.Errorf("decode rule: family %d: %w", m.Family, errors.ErrUnsupported)
	}
	if m.Action != unix.FR_ACT_TO_TBL {
		r.Action = m.Action
	}
	r.Inverted, r.Narrow = m.Flags&ruleInverted != 0, m.TOS != 0
	at := m.Attributes
	if at == nil {
		return r, nil
	}
	r.Table, r.Priority, r.Protocol = valueOr(at.Table, r.Table), valueOr(at.Priority, 0), valueOr(at.Protocol, 0)
	r.Mark, r.Mask = valueOr(at.FwMark, 0), valueOr(at.FwMask, 0)
	r.IIF, r.OIF = valueOr(at.IIFName, ""), valueOr(at.OIFName, "")
	r.Suppress = int32(valueOr(at.SuppressPrefixLen, ^uint32(0)))
	r.Narrow = r.Narrow || at.UIDRange != nil || at.IPProto != nil || at.SPortRange != nil || at.DPortRange != nil ||
		at.TunID != nil && *at.TunID != 0 || at.L3MDev != nil && *at.L3MDev != 0
	var err, dstErr error
	r.Src, err = prefixOf(r.Family, at.Src, m.SrcLength)
	r.Dst, dstErr = prefixOf(r.Family, at.Dst, m.DstLength)
	if err = errors.Join(err, dstErr); err != nil {
		return Rule{}, fmt.Errorf("decode rule: %w", err)
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
