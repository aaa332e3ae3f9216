package netpath

import "slices"

// Hardware types (include/uapi/linux/if_arp.h).
const (
	hardwareTunnel  = 768 // IPv4 in IPv4
	hardwareTunnel6 = 769
	hardwareSIT     = 776 // IPv6 in IPv4
	hardwareGRE     = 778
	hardwareGRE6    = 823
	hardwareNone    = 0xFFFE // raw packets
)

// tunnels are the kinds of virtual interfaces that carry packets inside other
// packets, over a way that is a path of its own.
var tunnels = []string{
	"wireguard", "amneziawg", "ovpn", "ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap", "erspan", "ip6erspan",
	"vti", "vti6", "xfrm", "vxlan", "geneve", "bareudp", "gtp", "l2tpeth",
}

// tunnel returns the kind of tunnel that a link is, empty: none.
//
// A tun device is one, a tap device none: virtual machines and containers without
// privileges have their only way out by one. A ppp device is none either, because
// DSL and modems come as such; a modem with raw packets (rmnet, wwan, qmi_wwan) has
// the hardware type of a tun device, and not its kind.
func (l link) tunnel() string {
	switch {
	case slices.Contains(tunnels, l.kind):
		return l.kind
	case l.kind == "tun" && l.hardware == hardwareNone:
		return l.kind
	case l.kind == "" && slices.Contains([]uint16{hardwareTunnel, hardwareTunnel6, hardwareSIT, hardwareGRE, hardwareGRE6}, l.hardware):
		return "tunnel"
	}
	return ""
}

// isVRF tells a table that has the form of an interface.
func (l link) isVRF() bool { return l.kind == "vrf" }
