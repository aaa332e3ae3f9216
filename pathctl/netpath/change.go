package netpath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
	"golang.org/x/sys/unix"
)

func (s *session) replaceRoute(r route) error {
	return s.changeRoute("replace", r, unix.RTM_NEWROUTE, netlink.Create|netlink.Replace)
}

func (s *session) addRoute(r route) error {
	return s.changeRoute("add", r, unix.RTM_NEWROUTE, netlink.Create|netlink.Excl)
}

// delRoute finds nothing to be wrong when the route is gone already: the kernel
// removes routes with their interface or address.
func (s *session) delRoute(r route) error {
	err := s.changeRoute("delete", r, unix.RTM_DELROUTE, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (s *session) changeRoute(verb string, r route, kind uint16, flags netlink.HeaderFlags) error {
	b, err := encodeRoute(r)
	if err != nil {
		return fmt.Errorf("encode route: %w", err)
	}
	what := fmt.Sprintf("%s route %v through interface %d in table %d", verb, r.dst, r.oif, r.table)
	_, err = s.execute(what, kind, netlink.Acknowledge|flags, b)
	return err
}

func (s *session) addRule(r rule) error {
	err := s.changeRule("add", r, unix.RTM_NEWRULE, netlink.Create|netlink.Excl)
	if errors.Is(err, unix.EEXIST) {
		return nil // somebody's identical rule does the same
	}
	return err
}

func (s *session) delRule(r rule) error {
	err := s.changeRule("delete", r, unix.RTM_DELRULE, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (s *session) changeRule(verb string, r rule, kind uint16, flags netlink.HeaderFlags) error {
	b, err := encodeRule(r)
	if err != nil {
		return fmt.Errorf("encode rule: %w", err)
	}
	what := fmt.Sprintf("%s rule %d from %v lookup %d", verb, r.priority, r.src, r.table)
	_, err = s.execute(what, kind, netlink.Acknowledge|flags, b)
	return err
}

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
