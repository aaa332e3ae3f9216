package rtnl

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Hardware types (include/uapi/linux/if_arp.h).
const (
	hardwareTunnel  = 768 // IPv4 in IPv4
	hardwareTunnel6 = 769
	hardwareSIT     = 776 // IPv6 in IPv4
	HardwareGRE     = 778
	hardwareGRE6    = 823
	HardwareNone    = 0xFFFE // raw packets
)

// tunnels are the kinds of virtual interfaces that carry packets inside other
// packets, over a way that is a path of its own.
var tunnels = []string{
	"wireguard", "amneziawg", "ovpn", "ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap", "erspan", "ip6erspan",
	"vti", "vti6", "xfrm", "vxlan", "geneve", "bareudp", "gtp", "l2tpeth",
}

// Tunnel returns the kind of tunnel that a link is, empty: none.
//
// A tun device is one, a tap device none: virtual machines and containers without
// privileges have their only way out by one. A ppp device is none either, because
// DSL and modems come as such; a modem with raw packets (rmnet, wwan, qmi_wwan) has
// the hardware type of a tun device, and not its kind.
func (l Link) Tunnel() string {
	switch {
	case slices.Contains(tunnels, l.Kind):
		return l.Kind
	case l.Kind == "tun" && l.Hardware == HardwareNone:
		return l.Kind
	case l.Kind == "" && slices.Contains([]uint16{hardwareTunnel, hardwareTunnel6, hardwareSIT, HardwareGRE, hardwareGRE6}, l.Hardware):
		return "tunnel"
	}
	return ""
}

// IsVRF tells a table that has the form of an interface.
func (l Link) IsVRF() bool { return l.Kind == "vrf" }

// VRFOf returns the name of the VRF that a link is in, empty: none.
func (sys System) VRFOf(l Link) string {
	i := slices.IndexFunc(sys.Links, func(m Link) bool { return l.Master != 0 && m.Index == l.Master && m.IsVRF() })
	if i < 0 {
		return ""
	}
	return sys.Links[i].Name
}

// LeadsOut reports whether an interface has a default route in the main table.
func (sys System) LeadsOut(index int) bool {
	return slices.ContainsFunc(sys.Routes, func(r Route) bool { return r.OIF == index && r.Table == unix.RT_TABLE_MAIN && r.IsWay() })
}
