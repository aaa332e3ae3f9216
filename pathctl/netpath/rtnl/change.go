package rtnl

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

func (s *Session) ReplaceRoute(r Route) error {
	return s.changeRoute("replace", r, unix.RTM_NEWROUTE, netlink.Create|netlink.Replace)
}

func (s *Session) AddRoute(r Route) error {
	return s.changeRoute("add", r, unix.RTM_NEWROUTE, netlink.Create|netlink.Excl)
}

// DelRoute finds nothing to be wrong when the route is gone already: the kernel
// removes routes with their interface or address.
func (s *Session) DelRoute(r Route) error {
	err := s.changeRoute("delete", r, unix.RTM_DELROUTE, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (s *Session) changeRoute(verb string, r Route, kind uint16, flags netlink.HeaderFlags) error {
	b, err := EncodeRoute(r)
	if err != nil {
		return fmt.Errorf("encode route: %w", err)
	}
	what := fmt.Sprintf("%s route %v through interface %d in table %d", verb, r.Dst, r.OIF, r.Table)
	_, err = s.Execute(what, kind, netlink.Acknowledge|flags, b)
	return err
}

func (s *Session) AddRule(r Rule) error {
	err := s.changeRule("add", r, unix.RTM_NEWRULE, netlink.Create|netlink.Excl)
	if errors.Is(err, unix.EEXIST) {
		return nil // somebody's identical rule does the same
	}
	return err
}

func (s *Session) DelRule(r Rule) error {
	err := s.changeRule("delete", r, unix.RTM_DELRULE, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (s *Session) changeRule(verb string, r Rule, kind uint16, flags netlink.HeaderFlags) error {
	b, err := EncodeRule(r)
	if err != nil {
		return fmt.Errorf("encode rule: %w", err)
	}
	what := fmt.Sprintf("%s rule %d from %v lookup %d", verb, r.Priority, r.Src, r.Table)
	_, err = s.Execute(what, kind, netlink.Acknowledge|flags, b)
	return err
}

const frActToTable = 1 // FR_ACT_TO_TBL, include/uapi/linux/fib_rules.h

func EncodeRule(r Rule) ([]byte, error) {
	src := net.IP(r.Src.Addr().AsSlice())
	m := rtnetlink.RuleMessage{
		Family: r.Family.kernel(), SrcLength: uint8(r.Src.Bits()), Action: frActToTable,
		Attributes: &rtnetlink.RuleAttributes{Src: &src, Priority: &r.Priority, Table: &r.Table, Protocol: &r.Protocol},
	}
	if r.Suppress >= 0 {
		s := uint32(r.Suppress)
		m.Attributes.SuppressPrefixLen = &s
	}
	return m.MarshalBinary()
}

func EncodeRoute(r Route) ([]byte, error) {
	m := rtnetlink.RouteMessage{
		Family: r.Family.kernel(), DstLength: uint8(r.Dst.Bits()), Protocol: r.Protocol,
		Scope: r.Scope, Type: r.Kind, Flags: r.Flags,
		Attributes: rtnetlink.RouteAttributes{
			Table: r.Table, OutIface: uint32(r.OIF), Priority: r.Metric, Src: r.Src.AsSlice(),
		},
	}
	if !r.IsDefault() {
		m.Attributes.Dst = r.Dst.Addr().AsSlice()
	}
	if r.Gateway.IsValid() && FamilyOf(r.Gateway) == r.Family {
		m.Attributes.Gateway = r.Gateway.AsSlice()
	}
	if l := r.Limits; l != (RouteLimits{}) {
		m.Attributes.Metrics = &rtnetlink.RouteMetrics{MTU: l.MTU, AdvMSS: l.AdvMSS, InitCwnd: l.InitCwnd, InitRwnd: l.InitRwnd}
	}
	b, err := m.MarshalBinary()
	if err != nil || !r.Gateway.IsValid() || FamilyOf(r.Gateway) == r.Family {
		return b, err
	}
	via, err := encodeVia(r.Gateway)
	return append(b, via...), err
}

// encodeVia is decodeVia's counterpart.
func encodeVia(gw netip.Addr) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_VIA, append(nlenc.Uint16Bytes(unix.AF_INET6), gw.AsSlice()...))
	return ae.Encode()
}
