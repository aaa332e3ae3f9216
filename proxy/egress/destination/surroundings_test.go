package destination

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	. "mpproxy/proxy/proxytest"
)

// TestSurroundings asks a real name server for the network's prefix of NAT64 and for the
// address that a NAT in front of the concentrator has.
func TestSurroundings(t *testing.T) {
	resolver := StartNameServer(t, map[string][]netip.Addr{
		discoveryName:      Addrs("2001:db8:64::192.0.0.170", "2001:db8:64::192.0.0.171"),
		"outside.example.": Addrs("192.0.2.80"),
	})
	known, err := NewSurroundings(resolver, "outside.example").Known(Within(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParsePrefix("2001:db8:64::/96"); !slices.Equal(known.NAT64, []netip.Prefix{want}) {
		t.Errorf("NAT64: got %v, want %v", known.NAT64, want)
	}
	for _, want := range []string{"192.0.2.80/32", "127.0.0.1/8"} {
		if !slices.Contains(known.Own, netip.MustParsePrefix(want)) {
			t.Errorf("own: %v lacks %v", known.Own, want)
		}
	}
}

// TestSurroundingsWithoutNames checks that nobody waits for name servers that are silent
// for longer than they wait themselves.
func TestSurroundingsWithoutNames(t *testing.T) {
	s := NewSurroundings(StartNameServer(t, nil), "nosuch.example")
	ctx, cancel := context.WithCancel(Within(t))
	cancel()
	if known, err := s.Known(ctx); err != nil || len(known.NAT64) > 0 || len(known.Own) == 0 {
		t.Errorf("got %v, %v", known, err)
	}
}
