package netpath

import (
	"net/netip"
	"testing"
)

func TestCompare(t *testing.T) {
	base := func() []Path {
		paths, _ := discover(twoLinks(), nil, newMemory())
		return paths
	}
	for _, tt := range []struct {
		name   string
		change func(p *Path) // of wlan0
		want   []Change
	}{
		{"nothing", func(*Path) {}, nil},
		{"counters", func(p *Path) { p.RxBytes, p.TxBytes = 5, 6 }, nil},
		{"down", func(p *Path) { p.State, p.Reason, p.Addrs = Down, "no carrier", nil }, []Change{
			{"wlan0", PathDown, "no carrier"},
			{"wlan0", AddressChanged, "192.0.2.2 removed"},
			{"wlan0", AddressChanged, "2001:db8::2 removed"},
		}},
		{"address", func(p *Path) { p.Addrs[0].Addr = netip.MustParseAddr("192.0.2.3") }, []Change{{"wlan0", AddressChanged, "192.0.2.2 → 192.0.2.3"}}},
		{"family gone", func(p *Path) { p.Addrs = p.Addrs[:1] }, []Change{{"wlan0", AddressChanged, "2001:db8::2 removed"}}},
		{"gateway", func(p *Path) { p.Addrs[0].Gateway = netip.Addr{} }, []Change{{"wlan0", GatewayChanged, "IPv4: 192.0.2.1 → none"}}},
		{"table", func(p *Path) { p.Addrs[1].Table = 27000 }, []Change{{"wlan0", TableChanged, "IPv6: 0 → 27000"}}},
		{"index", func(p *Path) { p.Index = 7 }, []Change{{"wlan0", InterfaceChanged, "wlan0 (1) → wlan0 (7)"}}},
		{"rank", func(p *Path) { p.Rank = 2 }, []Change{{"wlan0", RankChanged, "1 → 2"}}},
		{"metered", func(p *Path) { p.Metered = true }, []Change{{"wlan0", MeteredChanged, "false → true"}}},
		{"warning", func(p *Path) { p.Warning = "x" }, []Change{{"wlan0", WarningChanged, " → x"}}},
		{"another name", func(p *Path) { p.Name = "wifi" }, []Change{{"wlan0", PathRemoved, "from wlan0"}, {"wifi", PathAdded, "on wlan0, up"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := clonePaths(base())
			tt.change(&after[0])
			diff(t, "changes", tt.want, Compare(base(), after))
		})
	}
}

func TestCompareDownPaths(t *testing.T) {
	down := []Path{{Name: "a", Interface: "a", Reason: "no carrier"}}
	other := []Path{{Name: "a", Interface: "a", Reason: "link down"}}
	up := []Path{{Name: "a", Interface: "a", State: Up, Addrs: []Addr{{Addr: netip.MustParseAddr("192.0.2.2")}}}}
	diff(t, "another reason", []Change{{"a", ReasonChanged, "no carrier → link down"}}, Compare(down, other))
	diff(t, "up", []Change{{"a", PathUp, "was down: no carrier"}, {"a", AddressChanged, "192.0.2.2 added"}}, Compare(down, up))
	diff(t, "added", []Change{{"a", PathAdded, "on a, down: no carrier"}}, Compare(nil, down))
	diff(t, "words", "a: up was down: no carrier", Compare(down, up)[0].String())
}

func TestCloneIsDeep(t *testing.T) {
	a := []Path{{Addrs: []Addr{{Table: 1}}}}
	clonePaths(a)[0].Addrs[0].Table = 2
	diff(t, "original", uint32(1), a[0].Addrs[0].Table)
}
