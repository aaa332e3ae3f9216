package destination

import "net/netip"

// block is an entry of a registry.
type block struct {
	prefix netip.Prefix
	name   string
	open   bool // a concentrator may connect there
}

// blocks are the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890, as
// of October 2025), and behind them what other documents set apart. A block is open when
// the registry calls it globally reachable. The narrowest block that holds an address
// decides. NAT64's prefixes are not here: see NAT64.
//
// The documentation blocks are open, against the registry: nobody routes them, so they are
// no door into anything, and laboratories use them.
var blocks = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), "\"this network\"", false},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (carrier-grade NAT)", false},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", false},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments", false},
	{netip.MustParsePrefix("192.0.0.9/32"), "Port Control Protocol anycast", true},
	{netip.MustParsePrefix("192.0.0.10/32"), "TURN anycast", true},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation", true},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112", true},
	{netip.MustParsePrefix("192.52.193.0/24"), "AMT", true},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay anycast", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", false},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112", true},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation", true},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation", true},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", false},

	{netip.MustParsePrefix("::/128"), "unspecified", false},
	{netip.MustParsePrefix("::1/128"), "loopback", false},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped", false},
	{netip.MustParsePrefix("100::/64"), "discard-only", false},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy", false},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments", false},
	{netip.MustParsePrefix("2001::/32"), "Teredo", false},
	{netip.MustParsePrefix("2001:1::1/128"), "Port Control Protocol anycast", true},
	{netip.MustParsePrefix("2001:1::2/128"), "TURN anycast", true},
	{netip.MustParsePrefix("2001:1::3/128"), "DNS-SD registration anycast", true},
	{netip.MustParsePrefix("2001:2::/48"), "benchmarking", false},
	{netip.MustParsePrefix("2001:3::/32"), "AMT", true},
	{netip.MustParsePrefix("2001:4:112::/48"), "AS112", true},
	{netip.MustParsePrefix("2001:10::/28"), "ORCHID", false},
	{netip.MustParsePrefix("2001:20::/28"), "ORCHIDv2", true},
	{netip.MustParsePrefix("2001:30::/28"), "drone remote identification", true},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation", true},
	{netip.MustParsePrefix("2002::/16"), "6to4", false},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112", true},
	{netip.MustParsePrefix("3fff::/20"), "documentation", true},
	{netip.MustParsePrefix("5f00::/16"), "segment routing", false},
	{netip.MustParsePrefix("fc00::/7"), "unique-local", false},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},

	// A cloud's own services, on an address that looks like any other.
	{netip.MustParsePrefix("168.63.129.16/32"), "Azure platform", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},           // RFC 5771
	{netip.MustParsePrefix("::/96"), "IPv4-compatible", false},           // RFC 4291 §2.5.5.1
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated", false}, // RFC 2765 §2.1
	{netip.MustParsePrefix("fec0::/10"), "site-local", false},            // RFC 3879
	{netip.MustParsePrefix("ff00::/8"), "multicast", false},              // RFC 4291 §2.7
}

// blockOf returns the narrowest block that holds an address.
func blockOf(addr netip.Addr) (narrowest block, found bool) {
	for _, b := range blocks {
		if b.prefix.Contains(addr) && (!found || b.prefix.Bits() > narrowest.prefix.Bits()) {
			narrowest, found = b, true
		}
	}
	return narrowest, found
}
