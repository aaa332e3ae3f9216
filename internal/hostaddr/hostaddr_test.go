package hostaddr

import (
	"net/netip"
	"testing"

	"mpproxy/test/veth"
)

// TestOwnAddresses: both ways to ask tell the host's addresses from those of others. A Cache
// keeps its answer for a while, and IsOwn sees a new address at once.
func TestOwnAddresses(t *testing.T) {
	ns := veth.New(t)
	ns.AddAddr(t, "lo", "192.0.2.1/24")
	ns.AddAddr(t, "lo", "2001:db8::1/128")
	ns.Do(t, func() {
		var c Cache
		for addr, want := range map[string]bool{
			"192.0.2.1": true, "2001:db8::1": true, "127.0.0.1": true, "::1": true, "::ffff:192.0.2.1": true,
			"198.51.100.1": false, "2001:db8::2": false,
		} {
			a := netip.MustParseAddr(addr)
			if c.Has(a) != want || IsOwn(a) != want {
				t.Errorf("%v: the cache says %v, routing %v, want %v", a, c.Has(a), IsOwn(a), want)
			}
		}
	})
	ns.AddAddr(t, "lo", "198.51.100.1/32")
	ns.Do(t, func() {
		if a := netip.MustParseAddr("198.51.100.1"); !IsOwn(a) {
			t.Errorf("%v has come, and routing does not know it", a)
		}
	})
}

// TestNetworksAreKept: an address that comes is no part of the answer until it is old.
func TestNetworksAreKept(t *testing.T) {
	ns := veth.New(t)
	ns.AddAddr(t, "lo", "192.0.2.1/24")
	var c Cache
	count := func() (n int) {
		ns.Do(t, func() {
			networks, err := c.Networks()
			if err != nil {
				t.Error(err)
			}
			n = len(networks)
		})
		return n
	}
	before := count()
	ns.AddAddr(t, "lo", "192.0.2.2/24")
	if after := count(); before == 0 || after != before {
		t.Errorf("%d networks, then %d", before, after)
	}
}
