package rtnl

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Family restricts a selector, or names the family of an address.
type Family uint8

// The address families.
const (
	AnyFamily Family = 0
	IPv4      Family = 4
	IPv6      Family = 6
)

// String returns "IPv4", "IPv6" or "any".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	default:
		return "any"
	}
}

func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
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

// Bits is the length of an address in bits.
func (f Family) Bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

func ToAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a // not unmapped: the slice's length is the family
}

func toPrefix(f Family, ip net.IP, bits uint8) (netip.Prefix, error) {
	a := ToAddr(ip)
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
		if f == IPv4 {
			a = netip.IPv4Unspecified()
		}
	}
	p := netip.PrefixFrom(a, int(bits))
	if FamilyOf(a) != f || !p.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%v/%d is no %v prefix", a, bits, f)
	}
	return p.Masked(), nil
}

func DefaultPrefix(f Family) netip.Prefix {
	if f == IPv4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
