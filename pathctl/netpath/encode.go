package netpath

import (
	"net"
	"net/netip"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
	"golang.org/x/sys/unix"
)

const frActToTable = 1 // FR_ACT_TO_TBL, include/uapi/linux/fib_rules.h

func encodeRule(r rule) ([]byte, error) {
	src := net.IP(r.src.Addr().AsSlice())
	m := rtnetlink.RuleMessage{
		Family: r.family.kernel(), SrcLength: uint8(r.src.Bits()), Action: frActToTable,
		Attributes: &rtnetlink.RuleAttributes{Src: &src, Priority: &r.priority, Table: &r.table, Protocol: &r.protocol},
	}
	if r.suppress >= 0 {
		s := uint32(r.suppress)
		m.Attributes.SuppressPrefixLen = &s
	}
	return m.MarshalBinary()
}

func encodeRoute(r route) ([]byte, error) {
	m := rtnetlink.RouteMessage{
		Family: r.family.kernel(), DstLength: uint8(r.dst.Bits()), Protocol: r.protocol,
		Scope: r.scope, Type: r.kind, Flags: r.flags,
		Attributes: rtnetlink.RouteAttributes{
			Table: r.table, OutIface: uint32(r.oif), Priority: r.metric, Src: r.src.AsSlice(),
		},
	}
	if !r.isDefault() {
		m.Attributes.Dst = r.dst.Addr().AsSlice()
	}
	if r.gateway.IsValid() && familyOf(r.gateway) == r.family {
		m.Attributes.Gateway = r.gateway.AsSlice()
	}
	if l := r.limits; l != (routeLimits{}) {
		m.Attributes.Metrics = &rtnetlink.RouteMetrics{MTU: l.mtu, AdvMSS: l.advMSS, InitCwnd: l.initCwnd, InitRwnd: l.initRwnd}
	}
	b, err := m.MarshalBinary()
	if err != nil || !r.gateway.IsValid() || familyOf(r.gateway) == r.family {
		return b, err
	}
	via, err := encodeVia(r.gateway)
	return append(b, via...), err
}

// encodeVia is decodeVia's counterpart.
func encodeVia(gw netip.Addr) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_VIA, append(nlenc.Uint16Bytes(unix.AF_INET6), gw.AsSlice()...))
	return ae.Encode()
}
