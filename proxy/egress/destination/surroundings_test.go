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

// TestKnownIsTheCallers: what two callers are told is not the same memory, though the
// answers that it is made of are.
func TestKnownIsTheCallers(t *testing.T) {
	// A slice that grows to nine has room for seven more behind them.
	resolver := StartNameServer(t, map[string][]netip.Addr{"outside.example.": Addrs(
		"192.0.2.80", "192.0.2.81", "192.0.2.82", "192.0.2.83", "192.0.2.84", "192.0.2.85", "192.0.2.86", "192.0.2.87", "192.0.2.88",
	)})
	s := NewSurroundings(resolver, "outside.example")
	first, err := s.Known(Within(t))
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(first.Own)
	second, err := s.Known(Within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range second.Own {
		second.Own[i] = netip.Prefix{}
	}
	if !slices.Equal(first.Own, want) {
		t.Errorf("got %v, was %v", first.Own, want)
	}
}
