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

// Decoders of single messages. rtnetlink's codec is used where it is tolerant.
// Links are decoded here, because rtnetlink v2.0.2 refuses a whole link when
// its statistics have a length that it does not know (they grew in 4.6 and in
// 5.19) or its hardware address has one or two bytes.

var errShort = errors.New("message too short")

func decodeLink(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("decode link: %w", errShort)
	}
	l := link{
		index: int(int32(binary.NativeEndian.Uint32(b[4:8]))),
		flags: binary.NativeEndian.Uint32(b[8:12]),
	}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("decode link: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.name = ad.String()
		case unix.IFLA_MASTER:
			l.master = int(ad.Uint32())
		case unix.IFLA_STATS64: // struct rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, …
			if s := ad.Bytes(); len(s) >= 32 {
				l.counters = Counters{RxBytes: binary.NativeEndian.Uint64(s[16:24]), TxBytes: binary.NativeEndian.Uint64(s[24:32])}
			}
		}
	}
	if err := ad.Err(); err != nil {
		return link{}, fmt.Errorf("decode link %d: %w", l.index, err)
	}
	return l, nil
}

func decodeAddress(b []byte) (address, error) {
	var m rtnetlink.AddressMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return address{}, fmt.Errorf("decode address: %w", err)
	}
	a := address{index: int(m.Index), scope: m.Scope, flags: uint32(m.Flags)}
	if m.Attributes == nil {
		return a, nil
	}
	if m.Attributes.Flags != 0 { // IFA_FLAGS: all 32 bits; the header holds the low eight
		a.flags = m.Attributes.Flags
	}
	// IFA_LOCAL is our end; IFA_ADDRESS alone (IPv6) is ours too, but with
	// IFA_LOCAL present it is the peer's end of a point-to-point link.
	if a.addr = toAddr(m.Attributes.Local); !a.addr.IsValid() {
		a.addr = toAddr(m.Attributes.Address)
	}
	return a, nil
}

// decodeRoute returns one route for each next hop of the message.
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
	if !r.gateway.IsValid() {
		r.gateway = decodeVia(b)
	}
	if len(m.Attributes.Multipath) == 0 {
		return []route{r}, nil
	}
	var hops []route
	for _, nh := range m.Attributes.Multipath {
		h := r
		h.oif, h.gateway, h.flags = int(nh.Hop.IfIndex), toAddr(nh.Gateway), uint32(nh.Hop.Flags)
		hops = append(hops, h)
	}
	return hops, nil
}

// decodeVia reads RTA_VIA (struct rtvia), the IPv6 gateway of an IPv4 route
// (RFC 5549, Linux 5.2), which rtnetlink does not know.
func decodeVia(b []byte) netip.Addr {
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return netip.Addr{}
	}
	var gw netip.Addr
	for ad.Next() {
		if v := ad.Bytes(); ad.Type() == unix.RTA_VIA && len(v) == 2+16 && binary.NativeEndian.Uint16(v[:2]) == unix.AF_INET6 {
			gw = toAddr(v[2:])
		}
	}
	return gw
}

func decodeRule(b []byte) (rule, error) {
	var m rtnetlink.RuleMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return rule{}, fmt.Errorf("decode rule: %w", err)
	}
	r := rule{family: familyFromKernel(m.Family), table: uint32(m.Table), suppress: -1}
	if r.family == AnyFamily {
		return rule{}, fmt.Errorf("decode rule: family %d: %w", m.Family, errors.ErrUnsupported)
	}
	at := m.Attributes
	if at == nil {
		return r, nil
	}
	if at.Table != nil {
		r.table = *at.Table
	}
	if at.Priority != nil {
		r.priority = *at.Priority
	}
	if at.Protocol != nil {
		r.protocol = *at.Protocol
	}
	if at.SuppressPrefixLen != nil {
		r.suppress = int32(*at.SuppressPrefixLen)
	}
	if at.Src != nil {
		var err error
		if r.src, err = toPrefix(r.family, *at.Src, m.SrcLength); err != nil {
			return rule{}, fmt.Errorf("decode rule: source: %w", err)
		}
	}
	return r, nil
}

// decodeNetconf reads RTM_NEWNETCONF: an interface's index and its rp_filter.
func decodeNetconf(b []byte) (index int, rpFilter int32, err error) {
	// NETCONFA_* of include/uapi/linux/netconf.h; struct netconfmsg is one byte, padded.
	const (
		netconfaIfindex  = 1
		netconfaRPFilter = 3
		headerLen        = 4
	)
	if len(b) < headerLen {
		return 0, 0, fmt.Errorf("decode netconf: %w", errShort)
	}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return 0, 0, fmt.Errorf("decode netconf: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case netconfaIfindex:
			index = int(ad.Int32())
		case netconfaRPFilter:
			rpFilter = ad.Int32()
		}
	}
	return index, rpFilter, ad.Err()
}

func familyFromKernel(f uint8) Family {
	switch f {
	case unix.AF_INET:
		return IPv4
	case unix.AF_INET6:
		return IPv6
	default:
		return AnyFamily
	}
}

func (f Family) kernel() uint8 {
	if f == IPv4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// bits is the length of an address in bits.
func (f Family) bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

func toAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a // not unmapped: the slice's length is the family
}

func toPrefix(f Family, ip net.IP, bits uint8) (netip.Prefix, error) {
	a := toAddr(ip)
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
		if f == IPv4 {
			a = netip.IPv4Unspecified()
		}
	}
	p := netip.PrefixFrom(a, int(bits))
	if familyOf(a) != f || !p.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%v/%d is no %v prefix", a, bits, f)
	}
	return p.Masked(), nil
}
