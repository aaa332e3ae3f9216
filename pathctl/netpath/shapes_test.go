package netpath

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// summary is a path in a line: name, interface, and its addresses by their gateways;
// or why it is down.
func summary(paths []Path) (lines []string) {
	for _, p := range paths {
		line := p.Name + " on " + p.Interface
		for _, a := range p.Addrs {
			line += " " + a.Addr.String() + " via " + gatewayName(a)
		}
		if p.State == Down {
			line += " down: " + p.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

func onLink(a rtnl.Address, bits int) rtnl.Address {
	a.Bits = bits
	return a
}

func inTable(r rtnl.Route, table uint32) rtnl.Route {
	r.Table = table
	return r
}

// oneLink is eth0 (1) with 192.0.2.2/24 and a default route via 192.0.2.1.
func oneLink() rtnl.System {
	return rtnl.System{
		Links:  []rtnl.Link{testLink(1, "eth0")},
		Addrs:  []rtnl.Address{onLink(testAddr(1, "192.0.2.2", 0), 24)},
		Routes: []rtnl.Route{testDefault(1, "192.0.2.1", rtnl.IPv4, 100)},
	}
}

const eth0 = "eth0 on eth0 192.0.2.2 via 192.0.2.1"

// tunnelled is oneLink with a tunnel whose default route is better.
func tunnelled(kind string, hardware uint16) rtnl.System {
	sys := oneLink()
	t := testLink(2, "tun0")
	t.Kind, t.Hardware = kind, hardware
	sys.Links = append(sys.Links, t)
	sys.Addrs = append(sys.Addrs, testAddr(2, "198.51.100.9", 0))
	sys.Routes = append(sys.Routes, testDefault(2, "", rtnl.IPv4, 50))
	return sys
}

func TestShapesOfUplinks(t *testing.T) {
	const tunUp = "tun0 on tun0 198.51.100.9 via none"
	tunDown := func(kind string) string {
		return "tun0 on tun0 down: a tunnel (" + kind + "), which runs over another path: it is used only when it is asked for, with [[path]] or --path"
	}
	twoGateways := func() rtnl.System {
		sys := oneLink()
		sys.Addrs = append(sys.Addrs, onLink(testAddr(1, "198.51.100.2", 0), 24))
		sys.Routes = append(sys.Routes, testDefault(1, "198.51.100.1", rtnl.IPv4, 200))
		return sys
	}
	for _, tt := range []struct {
		name string
		sys  rtnl.System
		sels []Selector
		want []string
	}{
		{"a tun device", tunnelled("tun", rtnl.HardwareNone), nil, []string{eth0, tunDown("tun")}},
		{"WireGuard", tunnelled("wireguard", rtnl.HardwareNone), nil, []string{eth0, tunDown("wireguard")}},
		{"GRE without a kind", tunnelled("", rtnl.HardwareGRE), nil, []string{eth0, tunDown("tunnel")}},
		{"a tap device is a way of its own", tunnelled("tun", 1), nil, []string{tunUp, eth0}},
		{"so is a modem with raw packets", tunnelled("rmnet", rtnl.HardwareNone), nil, []string{tunUp, eth0}},
		{"so is DSL", tunnelled("ppp", 512), nil, []string{tunUp, eth0}},
		{"a tunnel that is asked for", tunnelled("tun", rtnl.HardwareNone), []Selector{{Interface: "eth0", Rank: 1}, {Interface: "tun*", Rank: 2}}, []string{eth0, tunUp}},
		{"a pattern for everything asks for nothing", tunnelled("vti6", rtnl.HardwareNone), []Selector{{Interface: "*"}}, []string{eth0, tunDown("vti6")}},
		{"two interfaces with one address", func() rtnl.System {
			sys := oneLink()
			sys.Links = append(sys.Links, testLink(2, "eth1"))
			sys.Addrs = append(sys.Addrs, onLink(testAddr(2, "192.0.2.2", 0), 24))
			sys.Routes = append(sys.Routes, testDefault(2, "192.0.2.1", rtnl.IPv4, 200))
			return sys
		}(), nil, []string{eth0, "eth1 on eth1 192.0.2.2 via 192.0.2.1"}},
		{"an alternative name", func() rtnl.System {
			sys := oneLink()
			sys.Links[0].Alternatives = []string{"wanlte0", "enp0s31f6"}
			return sys
		}(), []Selector{{Interface: "wanlte*"}}, []string{eth0}},
		{"only in another table", rtnl.System{
			Links: oneLink().Links, Addrs: oneLink().Addrs, Routes: []rtnl.Route{inTable(oneLink().Routes[0], 100)},
		}, nil, []string{"eth0 on eth0 down: no default route in the main table, which alone counts unless you say otherwise: there is one in table 100, which [[path]] uses with table = 100"}},
		{"the table named", rtnl.System{
			Links: oneLink().Links, Addrs: oneLink().Addrs, Routes: []rtnl.Route{inTable(oneLink().Routes[0], 100)},
		}, []Selector{{Interface: "eth0", Table: 100}}, []string{eth0}},
		{"the wrong table named", oneLink(), []Selector{{Interface: "eth0", Table: 7}}, []string{"eth0 on eth0 down: no default route in table 7"}},
		{"main and another table", func() rtnl.System {
			sys := twoGateways()
			sys.Routes[1].Table = 100
			return sys
		}(), []Selector{{Interface: "eth0"}, {Interface: "eth0", Table: 100}}, []string{eth0, "eth0@100 on eth0 198.51.100.2 via 198.51.100.1"}},
		{"a gateway without a default route", func() rtnl.System {
			sys := oneLink()
			sys.Routes = nil
			return sys
		}(), []Selector{{Interface: "eth0", Gateway: netip.MustParseAddr("192.0.2.7"), Name: "dsl"}}, []string{"dsl on eth0 192.0.2.2 via 192.0.2.7"}},
		{"a gateway on no link", oneLink(), []Selector{{Interface: "eth0", Gateway: netip.MustParseAddr("203.0.113.7")}}, []string{
			"eth0@203.0.113.7 on eth0 down: no default route via 203.0.113.7, and no address in one prefix with it",
		}},
		{"two gateways, each with its address", twoGateways(), nil, []string{eth0, "eth0@198.51.100.1 on eth0 198.51.100.2 via 198.51.100.1"}},
		{"two gateways by selectors", twoGateways(), []Selector{
			{Interface: "eth0", Gateway: netip.MustParseAddr("198.51.100.1"), Name: "lte", Rank: 1}, {Interface: "eth0", Name: "dsl", Rank: 2},
		}, []string{"lte on eth0 198.51.100.2 via 198.51.100.1", "dsl on eth0 192.0.2.2 via 192.0.2.1"}},
		{"routers of one IPv6 network are no two ways", rtnl.System{
			Links: oneLink().Links, Addrs: []rtnl.Address{onLink(testAddr(1, "2001:db8::2", 0), 64), onLink(testAddr(1, "2001:db8:1::2", 0), 64)},
			Routes: []rtnl.Route{testDefault(1, "fe80::1", rtnl.IPv6, 1024), testDefault(1, "fe80::2", rtnl.IPv6, 1024)},
		}, nil, []string{"eth0 on eth0 2001:db8::2 via fe80::1"}},
		{"IPv6 gateways of two prefixes", rtnl.System{
			Links: oneLink().Links, Addrs: []rtnl.Address{onLink(testAddr(1, "2001:db8::2", 0), 64), onLink(testAddr(1, "2001:db8:1::2", 0), 64)},
			Routes: []rtnl.Route{testDefault(1, "2001:db8:1::1", rtnl.IPv6, 1), testDefault(1, "2001:db8::1", rtnl.IPv6, 2)},
		}, nil, []string{"eth0 on eth0 2001:db8:1::2 via 2001:db8:1::1", "eth0@2001:db8::1 on eth0 2001:db8::2 via 2001:db8::1"}},
		{"a VRF and what is in it", func() rtnl.System {
			sys := oneLink()
			vrf := testLink(9, "red")
			vrf.Kind = "vrf"
			sys.Links[0].Master, sys.Routes[0].Table = 9, 10
			sys.Links = append(sys.Links, vrf)
			return sys
		}(), []Selector{{Interface: "eth0", Rank: 1}, {Interface: "red", Rank: 2}}, []string{
			"eth0 on eth0 down: no default route: the interface is in the VRF red, and what is in a VRF is no path",
			"red on red down: a VRF, which is a routing table and no way out: name an interface that is not in one",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			paths, ups := discover(tt.sys, tt.sels, newMemory())
			diff(t, "paths", tt.want, summary(paths))
			checkUplinks(t, paths, ups)
		})
	}
}

// TestOneAddressTwoGateways: what cannot be led through the second gateway is no
// path of its own.
func TestOneAddressTwoGateways(t *testing.T) {
	sys := oneLink()
	sys.Routes = append(sys.Routes, testDefault(1, "192.0.2.254", rtnl.IPv4, 200))
	paths, _ := discover(sys, nil, newMemory())
	diff(t, "paths", []string{eth0}, summary(paths))
}

// TestFirstGatewayStays: a metric that changes ranks paths anew and moves no name.
func TestFirstGatewayStays(t *testing.T) {
	sys := oneLink()
	sys.Addrs = append(sys.Addrs, onLink(testAddr(1, "198.51.100.2", 0), 24))
	sys.Routes = append(sys.Routes, testDefault(1, "198.51.100.1", rtnl.IPv4, 200))
	mem := newMemory()
	discover(sys, nil, mem)
	sys.Routes[1].Metric = 1
	paths, _ := discover(sys, nil, mem)
	diff(t, "paths", []string{"eth0@198.51.100.1 on eth0 198.51.100.2 via 198.51.100.1", eth0}, summary(paths))
}

// TestRenamed: a path follows its interface, with its selector and its name.
func TestRenamed(t *testing.T) {
	for _, sels := range [][]Selector{nil, {{Interface: "eth0"}}} {
		sys, mem := oneLink(), newMemory()
		discover(sys, sels, mem)
		sys.Links[0].Name = "wan9"
		paths, _ := discover(sys, sels, mem)
		diff(t, "paths", []string{"eth0 on wan9 192.0.2.2 via 192.0.2.1"}, summary(paths))
		diff(t, "other names", []string{"eth0"}, paths[0].OtherNames)

		// Another interface takes the old name: the selector's, not the path's.
		sys.Links = append(sys.Links, testLink(2, "eth0"))
		sys.Addrs = append(sys.Addrs, onLink(testAddr(2, "198.51.100.2", 0), 24))
		sys.Routes = append(sys.Routes, testDefault(2, "198.51.100.1", rtnl.IPv4, 200))
		paths, _ = discover(sys, sels, mem)
		want := []string{"eth0 on wan9 192.0.2.2 via 192.0.2.1", "eth0-eth0 on eth0 198.51.100.2 via 198.51.100.1"}
		if len(sels) > 0 {
			want = []string{"eth0 on eth0 198.51.100.2 via 198.51.100.1"}
		}
		diff(t, "paths after the name was taken", want, summary(paths))
	}
}

// TestFormerAddressKept: while a deprecated address exists, connections may use it.
func TestFormerAddressKept(t *testing.T) {
	sys, mem := oneLink(), newMemory()
	sys.Routes[0] = testDefault(1, "fe80::1", rtnl.IPv6, 100)
	sys.Addrs = []rtnl.Address{onLink(testAddr(1, "2001:db8::2", 0), 64)}
	look := func() ([]Path, plan) {
		paths, ups := discover(sys, nil, mem)
		p, _ := desired(ups, make(slots))
		return paths, p
	}
	look()
	sys.Addrs[0].Flags = unix.IFA_F_DEPRECATED
	paths, _ := look()
	diff(t, "the only address, deprecated", "eth0 on eth0 2001:db8::2 via fe80::1", summary(paths)[0])
	sys.Addrs = append(sys.Addrs, onLink(testAddr(1, "2001:db8:9::2", 0), 64))
	paths, p := look()
	diff(t, "the new address", "eth0 on eth0 2001:db8:9::2 via fe80::1", summary(paths)[0])
	diff(t, "kept", []netip.Addr{netip.MustParseAddr("2001:db8::2")}, paths[0].Kept)
	diff(t, "it is the path's", true, paths[0].Has(netip.MustParseAddr("2001:db8::2")))
	old := slices.DeleteFunc(p.rules, func(r rtnl.Rule) bool { return r.Src != netip.MustParsePrefix("2001:db8::2/128") })
	diff(t, "its rules", []uint32{27000, 27001, 27002}, []uint32{old[0].Priority, old[1].Priority, old[2].Priority})
	sys.Addrs = sys.Addrs[1:]
	paths, p = look()
	diff(t, "kept when it is gone", []netip.Addr(nil), paths[0].Kept)
	diff(t, "rules then", 3, len(p.rules))
}

func TestAddressOfTheGateway(t *testing.T) {
	addrs := []rtnl.Address{onLink(testAddr(1, "2001:db8::2", unix.IFA_F_PERMANENT), 64), onLink(testAddr(1, "2001:db8:9::2", unix.IFA_F_TEMPORARY), 64)}
	got, _ := bestAddress(addrs, 1, testDefault(1, "2001:db8:9::1", rtnl.IPv6, 0))
	diff(t, "RFC 6724 rule 5.5", "2001:db8:9::2", got.String())
}

func TestResolveNexthops(t *testing.T) {
	objects := map[uint32]rtnl.Nexthop{
		1: {ID: 1, OIF: 3, Gateway: netip.MustParseAddr("192.0.2.1")},
		2: {ID: 2, OIF: 4, Flags: unix.RTNH_F_LINKDOWN},
		3: {ID: 3, Group: []uint32{1, 2, 77}},
	}
	var got []string
	for _, r := range rtnl.Resolve([]rtnl.Route{{OIF: 9}, {Nexthop: 1}, {Nexthop: 3, Metric: 5}, {Nexthop: 99}}, objects) {
		got = append(got, strings.TrimSpace(strings.Join([]string{string(rune('0' + r.OIF)), gatewayName(Addr{Gateway: r.Gateway})}, " ")))
		if r.Nexthop != 0 {
			t.Errorf("%+v is not resolved", r)
		}
	}
	diff(t, "interfaces and gateways", []string{"9 none", "3 192.0.2.1", "3 192.0.2.1", "4 none"}, got)
}
