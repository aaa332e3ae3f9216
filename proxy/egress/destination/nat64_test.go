package destination

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// TestEmbedded reads the examples of RFC 6052 §2.4, one for each length of a prefix.
func TestEmbedded(t *testing.T) {
	want := netip.MustParseAddr("192.0.2.33")
	for _, tt := range []struct{ prefix, addr string }{
		{"2001:db8::/32", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
		{"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
		{"64:ff9b::/96", "64:ff9b::192.0.2.33"},
	} {
		t.Run(tt.prefix, func(t *testing.T) {
			own := []netip.Prefix{netip.MustParsePrefix(tt.prefix)}
			got, translated := Embedded(netip.MustParseAddr(tt.addr), own)
			if !translated || !slices.Equal(got, []netip.Addr{want}) {
				t.Errorf("%s stands for %v (%v), want %v", tt.addr, got, translated, want)
			}
		})
	}
	if got, translated := Embedded(netip.MustParseAddr("2001:db8::1"), nil); translated {
		t.Errorf("an ordinary address stands for %v", got)
	}
}

// TestCheckNAT64 checks that an address of NAT64 is judged by what it stands for.
func TestCheckNAT64(t *testing.T) {
	all := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("::/0")}}
	inside := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	known := Known{
		Own:   []netip.Prefix{netip.MustParsePrefix("203.0.113.9/28")},
		NAT64: []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96"), netip.MustParsePrefix("2001:db8:65::/48"), netip.MustParsePrefix("64:ff9b:1:2::/64")},
	}
	for _, tt := range []struct {
		name  string
		rules Rules
		addr  string
		want  bool
	}{
		{"public", Rules{}, "64:ff9b::192.0.2.1", true},
		{"private", Rules{}, "64:ff9b::10.1.0.1", false},
		{"private, allowed", inside, "64:ff9b::10.1.0.1", true},
		{"a cloud's metadata", Rules{}, "64:ff9b::169.254.169.254", false},
		{"a cloud's metadata, with all that is around allowed", all, "64:ff9b::169.254.169.254", false},
		{"the concentrator's network", Rules{}, "64:ff9b::203.0.113.14", false},
		{"denied", Rules{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "64:ff9b::192.0.2.1", false},
		{"denied by its own address", Rules{Deny: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}}, "64:ff9b::192.0.2.1", false},
		{"local use, 96 bits, public", Rules{}, "64:ff9b:1::192.0.2.1", true},
		{"local use, 96 bits, private", all, "64:ff9b:1::10.0.0.1", false},
		{"local use, 48 bits, public, which may stand for 0.2.1.0 as well", Rules{}, "64:ff9b:1:c000:2:100::", false},
		{"local use, 48 bits, public, and all that it may stand for", Rules{}, "64:ff9b:1:808:8:800::", true},
		{"local use, 64 bits by the resolver, public", Rules{}, "64:ff9b:1:2:c0:2:100::", true},
		{"local use, 48 bits, metadata", all, "64:ff9b:1:a9fe:a9:fe00::", false},
		{"local use, 64 bits, metadata", all, "64:ff9b:1:0:a9:fea9:fe00::", false},
		{"local use, nothing", all, "64:ff9b:1::", false},
		{"own prefix, public", Rules{}, "2001:db8:64::192.0.2.1", true},
		{"own prefix, metadata", all, "2001:db8:64::169.254.169.254", false},
		{"own prefix, 48 bits, loopback", all, "2001:db8:65:7f00:0:100::", false},
		{"own prefix, not an address of it", all, "2001:db8:65:7f00:0:100::1", false},
		{"translated twice", all, "64:ff9b::0.0.0.0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.rules.CheckAddr(netip.MustParseAddr(tt.addr), known)
			if (err == nil) != tt.want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want allowed: %v", err, tt.want)
			}
		})
	}
}

// TestPrefixesOf finds the prefix of each length in a resolver's answer (RFC 7050 §3).
func TestPrefixesOf(t *testing.T) {
	for _, bits := range lengths {
		want := netip.MustParsePrefix("2001:db8:1:2::/64").Addr()
		prefix := netip.PrefixFrom(want, bits).Masked()
		var answer []netip.Addr
		for _, v4 := range discoveryAddrs {
			answer = append(answer, embed(prefix, v4))
		}
		if got := prefixesOf(answer); !slices.Equal(got, []netip.Prefix{prefix}) {
			t.Errorf("%v: got %v from %v", prefix, got, answer)
		}
	}
	if got := prefixesOf([]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.0.170")}); len(got) > 0 {
		t.Errorf("got %v from a liar", got)
	}
}

// embed is the other direction of read, written from RFC 6052 §2.2.
func embed(prefix netip.Prefix, v4 netip.Addr) netip.Addr {
	b, next := prefix.Addr().As16(), prefix.Bits()/8
	for _, octet := range v4.As4() {
		if prefix.Bits() < 96 && next == 8 {
			next++
		}
		b[next] = octet
		next++
	}
	return netip.AddrFrom16(b)
}
