package hostaddr

import (
	"net"
	"testing"
)

// TestOwnAddresses checks that the host's own addresses are known, and that they
// are refused when nothing allows them.
func TestOwnAddresses(t *testing.T) {
	var o Cache
	got, err := o.Networks()
	if err != nil {
		t.Fatal(err)
	}
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(ifaces) {
		t.Errorf("got %v, want those of %v", got, ifaces)
	}
	again, err := o.Networks()
	if err != nil || len(again) > 0 && &again[0] != &got[0] {
		t.Errorf("not cached: %v", err)
	}
}
