package netns

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MaxLinks is the largest number of links of a topology.
const MaxLinks = 8

// The addresses of the service network; those of the links come from linkNet.
var (
	concentrator4 = netip.MustParsePrefix("203.0.113.1/25")
	concentrator6 = netip.MustParsePrefix("2001:db8:100::1/64")
	destination4  = netip.MustParsePrefix("203.0.113.129/25")
	destination6  = netip.MustParsePrefix("2001:db8:101::2/64")
)

// linkNet returns the networks of link i, 0 to MaxLinks-1: a /28 of 192.0.2.0/24
// for even links, of 198.51.100.0/24 for odd ones, and 2001:db8:i+1::/64.
func linkNet(i int) (v4, v6 netip.Prefix) {
	block := byte(i / 2 * 16)
	a4 := netip.AddrFrom4([4]byte{192, 0, 2, block})
	if i%2 == 1 {
		a4 = netip.AddrFrom4([4]byte{198, 51, 100, block})
	}
	a6 := netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: byte(i + 1)})
	return netip.PrefixFrom(a4, 28), netip.PrefixFrom(a6, 64)
}

// gatewayAndClient returns the first two addresses of a network.
func gatewayAndClient(p netip.Prefix) (gateway, client netip.Addr) {
	gateway = p.Addr().Next()
	return gateway, gateway.Next()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// The functions below act on the namespace of the calling thread.

// addAddr gives an interface an address that can be used at once; it may have it
// already.
func addAddr(name string, p netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrReplace(l, a); err != nil {
		return fmt.Errorf("add %s to %s: %w", p, name, err)
	}
	return nil
}

// addRoute adds a route to p through an interface, directly when the gateway is
// not valid; it may exist. A metric of 0 is the kernel's default.
func addRoute(name string, p netip.Prefix, gateway netip.Addr, metric int) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(p.Masked()), Priority: metric, Protocol: unix.RTPROT_STATIC}
	if gateway.IsValid() {
		r.Gw = gateway.AsSlice()
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteReplace(r); err != nil {
		return fmt.Errorf("add route to %s through %s: %w", p, name, err)
	}
	return nil
}

func defaultPrefix(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
