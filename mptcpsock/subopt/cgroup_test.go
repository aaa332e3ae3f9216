package subopt_test

import (
	"net/netip"
	"testing"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/pathctl/subflowbpf"
)

// TestBesideOwnCgroup lets another program of this process put it into a cgroup
// of its own, and take it out again: rules hold for listeners opened before,
// inside and after.
func TestBesideOwnCgroup(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.server)
	unspecified := netip.IPv6Unspecified()
	before := w.listen(t, netip.AddrPortFrom(unspecified, port))
	watcher, err := subflowbpf.Open(subflowbpf.Config{OwnCgroupOnly: true}, nil)
	must(t, err)
	if m := watcher.Mechanism(); m.Kind != subflowbpf.OwnCgroup {
		must(t, watcher.Close())
		t.Skip(m)
	}
	var rules []*subopt.Rule
	for n := range 3 {
		m := subopt.Match{Local: netip.AddrPortFrom(addrs["IPv4"][0][1], port+uint16(n))}
		r, err := s.SetOnConnect(m, subopt.Mark, subopt.Number(7))
		must(t, err)
		rules = append(rules, r)
	}
	inside := w.listen(t, netip.AddrPortFrom(unspecified, port+1))
	w.dial(t, "IPv4", inside)
	must(t, watcher.Close())
	w.dial(t, "IPv4", before)
	w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(unspecified, port+2)))
	for i, r := range rules {
		if o, err := r.Outcome(); err != nil || o != (subopt.Outcome{Applied: 1}) {
			t.Errorf("%s: outcome %+v, %v", []string{"before", "inside", "after"}[i], o, err)
		}
	}
}
