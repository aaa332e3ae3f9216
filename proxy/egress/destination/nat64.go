package destination

import (
	"net/netip"
	"slices"
)

// The prefixes of NAT64 that everybody knows: RFC 6052 §2.1, and RFC 8215, of which a
// network uses any part.
var (
	wellKnown = netip.MustParsePrefix("64:ff9b::/96")
	localUse  = netip.MustParsePrefix("64:ff9b:1::/48")
)

// lengths are the lengths that a prefix of NAT64 can have (RFC 6052 §2.2).
var lengths = []int{32, 40, 48, 56, 64, 96}

// Embedded returns the IPv4 addresses that an address stands for by NAT64. translated is
// false for an address that is not within a prefix of NAT64: the two known ones, or one of
// own. Where the length of the prefix is not known, it returns one for each length by which
// the address can be read. It returns none if it cannot be read at all.
func Embedded(addr netip.Addr, own []netip.Prefix) (inner []netip.Addr, translated bool) {
	if !addr.Is6() {
		return nil, false
	}
	for _, p := range append([]netip.Prefix{wellKnown}, own...) {
		if p.Contains(addr) {
			return read(addr, p.Bits(), nil), true
		}
	}
	if !localUse.Contains(addr) {
		return nil, false
	}
	for _, bits := range lengths {
		if bits >= localUse.Bits() {
			inner = read(addr, bits, inner)
		}
	}
	// A reading as the unspecified address is a reading at the wrong length.
	return slices.DeleteFunc(inner, netip.Addr.IsUnspecified), true
}

// octetU is the octet that no address of NAT64 with a shorter prefix than 96 bits uses:
// it is zero (RFC 6052 §2.2).
const octetU = 8

// read appends the IPv4 address behind a prefix of so many bits, if there is one: octet u
// and all that follows the address are zero.
func read(addr netip.Addr, bits int, to []netip.Addr) []netip.Addr {
	b := addr.As16()
	var v4 [4]byte
	next := bits / 8
	for i := range v4 {
		if next == octetU && bits < 96 {
			next++
		}
		v4[i] = b[next]
		next++
	}
	if bits < 96 && (b[octetU] != 0 || slices.ContainsFunc(b[next:], func(o byte) bool { return o != 0 })) {
		return to
	}
	return append(to, netip.AddrFrom4(v4))
}

// discoveryName has these two IPv4 addresses and no others. A resolver of a network with
// NAT64 makes IPv6 addresses of them, with the network's prefix (RFC 7050 §2.2).
const discoveryName = "ipv4only.arpa."

var discoveryAddrs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}

// prefixesOf finds the prefixes with which a resolver made these addresses (RFC 7050 §3).
func prefixesOf(synthesized []netip.Addr) (found []netip.Prefix) {
	for _, a := range synthesized {
		if !a.Is6() {
			continue
		}
		for _, bits := range lengths {
			inner := read(a, bits, nil)
			if len(inner) == 0 || !slices.Contains(discoveryAddrs, inner[0]) {
				continue
			}
			if p := netip.PrefixFrom(a, bits).Masked(); !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	return found
}
