package destination

import (
	"errors"
	"net/netip"
	"testing"

	"mpproxy/proxy/rules"
)

func TestCheckAddr(t *testing.T) {
	prefixes := func(s ...string) (ps []netip.Prefix) {
		for _, p := range s {
			ps = append(ps, netip.MustParsePrefix(p))
		}
		return ps
	}
	known := Known{Own: prefixes("203.0.113.9/32", "2001:db8::9/128", "198.51.100.65/26", "2001:db8:1::1/64")}
	for _, tt := range []struct {
		name    string
		rules   Rules
		addrs   []string
		refused bool
	}{
		{name: "public", addrs: []string{
			"192.0.2.1", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
			"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255",
			"192.169.0.0", "223.255.255.255", "2001:db8::1", "2001:1::1", "2003::", "2606:4700::1111", "fbff::1",
			"::fffe:0:0:1", "64:ff9b:0:1::1",
		}},
		{name: "refused ranges, their first and last addresses", refused: true, addrs: []string{
			"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
			"169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255",
			"192.168.0.0", "192.168.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
			"::", "::1", "::127.0.0.1", "::192.0.2.1", "fc00::", "fd12::1", "fdff:ffff::", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ffff::",
		}},
		{name: "IPv4 smuggled in IPv6", refused: true, addrs: []string{
			"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001::7f00:1",
		}},
		{name: "zones", refused: true, addrs: []string{"fe80::1%eth0", "::1%lo", "2001:db8::9%eth0"}},
		{name: "IPv4-mapped public", addrs: []string{"::ffff:192.0.2.1"}},
		{name: "own", refused: true, addrs: []string{"203.0.113.9", "::ffff:203.0.113.9", "2001:db8::9"}},
		{name: "beside the concentrator, in its own network", refused: true, addrs: []string{"198.51.100.66", "198.51.100.127", "2001:db8:1::2", "::ffff:198.51.100.65"}},
		{name: "outside of its own network", addrs: []string{"198.51.100.63", "198.51.100.128", "2001:db8:2::1"}},
		{name: "of the table's exceptions", addrs: []string{"192.0.0.9", "192.0.0.10", "2001:1::2", "2001:4:112::1", "2001:20::1", "192.88.98.255", "192.88.100.0", "198.17.255.255", "198.20.0.0", "168.63.129.15", "100:0:0:2::"}},
		{name: "special, though it looks like any other", refused: true, addrs: []string{
			"168.63.129.16", "198.18.0.0", "198.19.255.255", "192.88.99.1", "100::1", "100:0:0:1::1", "5f00::1", "2001:2::1", "2001:1::4", "2001:10::1", "192.0.0.8", "192.0.0.170",
		}},
		{name: "allowed", rules: Rules{Allow: prefixes("10.1.0.0/16", "::1/128", "203.0.113.9/32")}, addrs: []string{"10.1.2.3", "::ffff:10.1.2.3", "::1", "203.0.113.9"}},
		{name: "beside the allowed", rules: Rules{Allow: prefixes("10.1.0.0/16")}, addrs: []string{"10.2.0.0", "10.0.255.255"}, refused: true},
		{name: "deny wins over allow", rules: Rules{Allow: prefixes("10.0.0.0/8"), Deny: prefixes("10.1.0.0/16")}, addrs: []string{"10.1.0.1", "::ffff:10.1.0.1"}, refused: true},
		{name: "deny, narrower than nothing", rules: Rules{Deny: prefixes("0.0.0.0/0", "::/0")}, addrs: []string{"192.0.2.1", "2001:db8::1", "2001:db8::1%eth0"}, refused: true},
		{name: "deny leaves the rest", rules: Rules{Deny: prefixes("192.0.2.0/24")}, addrs: []string{"198.51.100.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, a := range tt.addrs {
				err := tt.rules.CheckAddr(netip.MustParseAddr(a), known)
				if errors.Is(err, ErrRefused) != tt.refused || (err != nil) != tt.refused {
					t.Errorf("%s: got %v, want refused: %v", a, err, tt.refused)
				}
			}
		})
	}
}

// TestBlocks checks each block of the registries at its borders: its first and its last
// address are judged as the table says, unless a narrower block holds them.
func TestBlocks(t *testing.T) {
	for _, b := range blocks {
		for _, addr := range []netip.Addr{b.prefix.Addr(), last(b.prefix)} {
			narrowest, ok := blockOf(addr)
			if !ok || narrowest.prefix.Bits() < b.prefix.Bits() {
				t.Errorf("%s of %s: decided by %v", addr, b.prefix, narrowest)
			}
			if addr.Is4In6() {
				continue // judged as the IPv4 address
			}
			if err := (Rules{}).CheckAddr(addr, Known{}); (err == nil) != narrowest.open {
				t.Errorf("%s of %s: got %v, want refused: %v", addr, narrowest.prefix, err, !narrowest.open)
			}
		}
		if b.prefix != b.prefix.Masked() {
			t.Errorf("%s has bits behind its length", b.prefix)
		}
	}
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestCheckPorts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules Rules
		port  uint16
		want  bool
	}{
		{"the web", Rules{}, 443, true},
		{"beside mail", Rules{}, 24, true},
		{"mail between servers", Rules{}, 25, false},
		{"mail from people", Rules{}, 587, true},
		{"the last port", Rules{}, 65535, true},
		{"allowed addresses keep their ports", Rules{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, 25, false},
		{"of the operator's", Rules{Ports: []rules.PortRange{{First: 25, Last: 25}}}, 25, true},
		{"not of the operator's", Rules{Ports: []rules.PortRange{{First: 80, Last: 443}}}, 444, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.rules.CheckPort(tt.port); (err == nil) != tt.want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want allowed: %v", err, tt.want)
			}
		})
	}
}
