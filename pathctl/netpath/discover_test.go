package netpath

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

const upFlags = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP

func testLink(index int, name string) rtnl.Link {
	return rtnl.Link{Index: index, Name: name, Flags: upFlags}
}

func testAddr(index int, addr string, flags uint32) rtnl.Address {
	return rtnl.Address{Index: index, Addr: netip.MustParseAddr(addr), Flags: flags}
}

// testDefault is a default route; an empty gateway makes it point-to-point.
func testDefault(index int, gateway string, fam rtnl.Family, metric uint32) rtnl.Route {
	r := rtnl.Route{Family: fam, Table: unix.RT_TABLE_MAIN, Dst: rtnl.DefaultPrefix(fam), OIF: index, Metric: metric, Kind: unix.RTN_UNICAST}
	if gateway != "" {
		r.Gateway = netip.MustParseAddr(gateway)
	}
	return r
}

// twoLinks is wlan0 (1, metric 600), with both families, and wwan0 (2, metric
// 700), IPv4 and point-to-point.
func twoLinks() rtnl.System {
	return rtnl.System{
		Links: []rtnl.Link{{Index: 9, Name: "lo", Flags: upFlags | unix.IFF_LOOPBACK}, testLink(2, "wwan0"), testLink(1, "wlan0")},
		Addrs: []rtnl.Address{
			testAddr(9, "127.0.0.1", unix.IFA_F_PERMANENT),
			testAddr(1, "192.0.2.2", 0), testAddr(1, "2001:db8::2", 0), testAddr(2, "198.51.100.2", 0),
		},
		Routes: []rtnl.Route{
			testDefault(1, "192.0.2.1", rtnl.IPv4, 600), testDefault(1, "fe80::1", rtnl.IPv6, 600), testDefault(2, "", rtnl.IPv4, 700),
		},
	}
}

var (
	wlanAddrs = []Addr{
		{Addr: netip.MustParseAddr("192.0.2.2"), Gateway: netip.MustParseAddr("192.0.2.1")},
		{Addr: netip.MustParseAddr("2001:db8::2"), Gateway: netip.MustParseAddr("fe80::1")},
	}
	wwanAddrs = []Addr{{Addr: netip.MustParseAddr("198.51.100.2")}}
)

func TestDiscover(t *testing.T) {
	wlan := Path{Name: "wlan0", Interface: "wlan0", Index: 1, Rank: 1, State: Up, Addrs: wlanAddrs}
	wwan := Path{Name: "wwan0", Interface: "wwan0", Index: 2, Rank: 2, State: Up, Addrs: wwanAddrs}
	with := func(p Path, f func(*Path)) Path { f(&p); return p }
	down := func(p Path, reason string) Path {
		p.State, p.Addrs, p.Reason = Down, nil, reason
		return p
	}
	for _, tt := range []struct {
		name   string
		change func(*rtnl.System)
		sels   []Selector
		want   []Path
	}{
		{name: "all that is usable", want: []Path{wlan, wwan}},
		{
			name: "rank and name by selector", sels: []Selector{{Interface: "ww*", Name: "lte", Rank: 1, Metered: true}, {Interface: "wlan0"}},
			want: []Path{
				with(wwan, func(p *Path) { p.Name, p.Rank, p.Ranked, p.Metered = "lte", 1, true, true }),
				with(wlan, func(p *Path) { p.Rank = 2 }),
			},
		},
		{name: "first match wins", sels: []Selector{{Interface: "*", Name: "any"}, {Interface: "wlan0", Name: "wifi"}}, want: []Path{
			with(wlan, func(p *Path) { p.Name = "any" }), with(wwan, func(p *Path) { p.Name = "any-wwan0" }),
		}},
		{name: "only what is selected", sels: []Selector{{Interface: "wwan0"}}, want: []Path{with(wwan, func(p *Path) { p.Rank = 1 })}},
		{name: "one family", sels: []Selector{{Interface: "wlan0", Family: rtnl.IPv6}}, want: []Path{
			with(wlan, func(p *Path) { p.Addrs = wlanAddrs[1:] }),
		}},
		{name: "family that the path has not", sels: []Selector{{Interface: "wwan0", Family: rtnl.IPv6}}, want: []Path{
			with(down(wwan, "no address (IPv6 only)"), func(p *Path) { p.Rank = 1 }),
		}},
		{name: "missing", sels: []Selector{{Interface: "eth0", Name: "dsl"}, {Interface: "wlan*"}}, want: []Path{
			wlan, {Name: "dsl", Interface: "eth0", Rank: 2, Reason: "not found"},
		}},
		{name: "loopback by name", sels: []Selector{{Interface: "lo"}}, want: []Path{
			{Name: "lo", Interface: "lo", Index: 9, Rank: 1, Reason: "no address"},
		}},
		{name: "metric decides the rank", change: func(s *rtnl.System) { s.Routes[2].Metric = 50 }, want: []Path{
			with(wwan, func(p *Path) { p.Rank = 1 }), with(wlan, func(p *Path) { p.Rank = 2 }),
		}},
		{name: "unselected and unusable", change: func(s *rtnl.System) { s.Addrs = s.Addrs[:3] }, want: []Path{wlan}},
		{
			name: "link down", change: func(s *rtnl.System) { s.Links[1].Flags = 0 }, sels: []Selector{{Interface: "ww*"}},
			want: []Path{with(down(wwan, "link down"), func(p *Path) { p.Rank = 1 })},
		},
		{
			name: "no carrier", change: func(s *rtnl.System) { s.Links[1].Flags = unix.IFF_UP }, sels: []Selector{{Interface: "wwan0"}},
			want: []Path{with(down(wwan, "no carrier"), func(p *Path) { p.Rank = 1 })},
		},
		{
			name: "no default route", change: func(s *rtnl.System) { s.Routes = s.Routes[:2] }, sels: []Selector{{Interface: "wwan0"}},
			want: []Path{with(down(wwan, "no default route"), func(p *Path) { p.Rank = 1 })},
		},
		{
			name: "unusable address", change: func(s *rtnl.System) { s.Addrs[3].Flags = unix.IFA_F_DADFAILED }, sels: []Selector{{Interface: "wwan0"}},
			want: []Path{with(down(wwan, "no usable IPv4 address"), func(p *Path) { p.Rank = 1 })},
		},
		{
			name: "dead or unreachable default route", sels: []Selector{{Interface: "wwan0"}},
			change: func(s *rtnl.System) {
				s.Routes[2].Flags = unix.RTNH_F_LINKDOWN
				s.Routes = append(s.Routes, rtnl.Route{Family: rtnl.IPv4, Dst: rtnl.DefaultPrefix(rtnl.IPv4), OIF: 2, Kind: unix.RTN_UNREACHABLE})
			},
			want: []Path{with(down(wwan, "no default route"), func(p *Path) { p.Rank = 1 })},
		},
		{
			name: "port of a bridge, by pattern", change: func(s *rtnl.System) { s.Links[1].Master, s.Routes = 5, s.Routes[:2] },
			sels: []Selector{{Interface: "w*"}}, want: []Path{wlan},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := twoLinks()
			if tt.change != nil {
				tt.change(&sys)
			}
			got, ups := discover(sys, tt.sels, newMemory())
			diff(t, "paths", tt.want, got)
			checkUplinks(t, got, ups)
		})
	}
}

// checkUplinks holds discover to its promise that uplinks come in the order of
// the paths' addresses.
func checkUplinks(t *testing.T, paths []Path, ups []uplink) {
	t.Helper()
	var want, got []netip.Addr
	for _, p := range paths {
		for _, a := range p.Addrs {
			want = append(want, a.Addr)
		}
	}
	for _, u := range ups {
		got = append(got, u.addr)
	}
	diff(t, "uplinks", want, got)
}

func TestBestAddress(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fam       rtnl.Family
		addrs     []rtnl.Address
		preferred string
		want      string // empty: none
	}{
		{name: "only local ones", fam: rtnl.IPv4, addrs: []rtnl.Address{testAddr(1, "169.254.1.1", 0), testAddr(1, "127.0.0.1", 0)}},
		{name: "link scope", fam: rtnl.IPv4, addrs: []rtnl.Address{{Index: 1, Addr: netip.MustParseAddr("192.0.2.2"), Scope: unix.RT_SCOPE_LINK}}},
		{name: "other interface", fam: rtnl.IPv4, addrs: []rtnl.Address{testAddr(2, "192.0.2.2", 0)}},
		{name: "private is fine", fam: rtnl.IPv4, addrs: []rtnl.Address{testAddr(1, "192.168.1.2", 0)}, want: "192.168.1.2"},
		{name: "primary before secondary", fam: rtnl.IPv4, addrs: []rtnl.Address{testAddr(1, "192.0.2.1", unix.IFA_F_SECONDARY), testAddr(1, "192.0.2.9", 0)}, want: "192.0.2.9"},
		{name: "what the route prefers", fam: rtnl.IPv4, addrs: []rtnl.Address{testAddr(1, "192.0.2.1", 0), testAddr(1, "192.0.2.9", unix.IFA_F_SECONDARY)}, preferred: "192.0.2.9", want: "192.0.2.9"},
		{name: "preferred but unusable", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", unix.IFA_F_DEPRECATED), testAddr(1, "2001:db8::2", 0)}, preferred: "2001:db8::1", want: "2001:db8::2"},
		{name: "tentative, failed, link-local", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", unix.IFA_F_TENTATIVE), testAddr(1, "2001:db8::2", unix.IFA_F_DADFAILED), testAddr(1, "fe80::1", 0)}},
		{name: "optimistic", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC)}, want: "2001:db8::1"},
		{name: "stable before temporary", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", unix.IFA_F_TEMPORARY), testAddr(1, "2001:db8::2", 0)}, want: "2001:db8::2"},
		{name: "temporary rather than none", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", unix.IFA_F_TEMPORARY)}, want: "2001:db8::1"},
		{name: "global before unique-local", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "fd00::1", unix.IFA_F_PERMANENT), testAddr(1, "2001:db8::2", unix.IFA_F_TEMPORARY)}, want: "2001:db8::2"},
		{name: "permanent before leased", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::1", 0), testAddr(1, "2001:db8::2", unix.IFA_F_PERMANENT)}, want: "2001:db8::2"},
		{name: "the order of the dump does not matter", fam: rtnl.IPv6, addrs: []rtnl.Address{testAddr(1, "2001:db8::2", 0), testAddr(1, "2001:db8::1", 0)}, want: "2001:db8::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var preferred, want netip.Addr
			if tt.preferred != "" {
				preferred = netip.MustParseAddr(tt.preferred)
			}
			if tt.want != "" {
				want = netip.MustParseAddr(tt.want)
			}
			got, ok := bestAddress(tt.addrs, 1, rtnl.Route{Family: tt.fam, Src: preferred})
			diff(t, "address", want, got)
			diff(t, "found", tt.want != "", ok)
		})
	}
}

func TestOnLinkPrefixes(t *testing.T) {
	at := func(dst string, change func(*rtnl.Route)) rtnl.Route {
		r := rtnl.Route{Family: rtnl.IPv4, Dst: netip.MustParsePrefix(dst), OIF: 1, Kind: unix.RTN_UNICAST, Protocol: unix.RTPROT_KERNEL}
		change(&r)
		return r
	}
	keep := func(*rtnl.Route) {}
	got := onLinkPrefixes([]rtnl.Route{
		testDefault(1, "", rtnl.IPv4, 0),
		at("198.51.100.0/24", keep),
		at("192.0.2.0/24", keep),
		at("192.0.2.0/24", func(r *rtnl.Route) { r.Metric = 5 }),
		at("10.0.0.0/8", func(r *rtnl.Route) { r.Protocol = unix.RTPROT_STATIC }),
		at("10.1.0.0/16", func(r *rtnl.Route) { r.Gateway = netip.MustParseAddr("192.0.2.1") }),
		at("10.2.0.0/16", func(r *rtnl.Route) { r.OIF = 2 }),
		at("169.254.0.0/16", keep),
		at("10.3.0.0/16", func(r *rtnl.Route) { r.Kind = unix.RTN_BLACKHOLE }),
	}, 1, rtnl.IPv4)
	diff(t, "prefixes", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")}, got)
}

// TestNamesStay: a name belongs to an interface for as long as that is there.
func TestNamesStay(t *testing.T) {
	sels := []Selector{{Interface: "w*", Name: "radio"}}
	names := newMemory()
	only := func(ifaces ...string) rtnl.System {
		sys := twoLinks()
		sys.Links = nil
		for i, n := range []string{"wlan0", "wwan0"} {
			for _, iface := range ifaces {
				if n == iface {
					sys.Links = append(sys.Links, testLink(i+1, n))
				}
			}
		}
		return sys
	}
	for _, tt := range []struct {
		sys  rtnl.System
		want map[string]string
	}{
		{only("wwan0"), map[string]string{"wwan0": "radio"}},
		{only("wlan0", "wwan0"), map[string]string{"wwan0": "radio", "wlan0": "radio-wlan0"}},
		{only("wlan0"), map[string]string{"wlan0": "radio-wlan0"}},
		{only(), map[string]string{"w*": "radio"}},
		{only("wlan0", "wwan0"), map[string]string{"wwan0": "radio", "wlan0": "radio-wlan0"}},
	} {
		got := make(map[string]string)
		paths, _ := discover(tt.sys, sels, names)
		for _, p := range paths {
			got[p.Interface] = p.Name
		}
		diff(t, "names", tt.want, got)
	}
}

func TestNameTaken(t *testing.T) {
	names := newMemory()
	names.names["wlan0"] = "wifi" // seen before, gone now
	all := []found{{path: Path{Interface: "wlan1", Index: 2}, key: "wlan1", want: "wifi"}}
	nameAll(all, names)
	diff(t, "name of the replacement", "wifi", all[0].path.Name)
	all = []found{
		{path: Path{Interface: "wlan0", Index: 3}, key: "wlan0", want: "wifi"},
		{path: Path{Interface: "wlan1", Index: 2}, key: "wlan1", want: "wifi"},
	}
	nameAll(all, names)
	diff(t, "name of the one that came back", "wifi-wlan0", all[0].path.Name)
	diff(t, "unique", "a-b-3", uniqueName("a", "b", map[string]bool{"a": true, "a-b": true, "a-b-2": true}))
}

func TestRanks(t *testing.T) {
	sels := []Selector{{Interface: "a", Rank: 5}, {Interface: "b"}, {Interface: "c"}, {Interface: "d", Rank: 5}}
	all := []found{
		{path: Path{Interface: "c"}, selector: 2, metric: 1},
		{path: Path{Interface: "d"}, selector: 3, metric: 9},
		{path: Path{Interface: "b"}, selector: 1, metric: 2},
		{path: Path{Interface: "a"}, selector: 0, metric: 9},
	}
	rankAll(all, sels)
	got := make(map[string]int)
	for _, f := range all {
		got[f.path.Interface] = f.path.Rank
	}
	diff(t, "ranks", map[string]int{"a": 5, "d": 5, "c": 6, "b": 7}, got)
}

func TestSelectorValidate(t *testing.T) {
	for _, tt := range []struct {
		s  Selector
		ok bool
	}{
		{Selector{Interface: "wlan*", Rank: 1, Family: rtnl.IPv6}, true},
		{Selector{}, false},
		{Selector{Interface: "wlan["}, false},
		{Selector{Interface: "a", Rank: -1}, false},
		{Selector{Interface: "a", Family: 5}, false},
	} {
		if err := tt.s.Validate(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.s, err)
		}
	}
	if err := New(Config{Selectors: []Selector{{}}}, nil).Run(t.Context()); err == nil {
		t.Error("Run accepts a selector without an interface")
	}
}

func TestReversePathWarning(t *testing.T) {
	for _, tt := range []struct {
		name           string
		all, own       int32
		table          uint32
		wlanWarn, wwan bool
	}{
		{name: "off"},
		{name: "strict by all", all: 1, wwan: true},
		{name: "strict by interface", own: 1, wwan: true},
		{name: "loose wins", all: 2, own: 1},
		{name: "strict with source routing", all: 1, table: 27000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := twoLinks()
			sys.RPFilter = map[int]int32{rtnl.RPFilterAll: tt.all, 1: tt.own, 2: tt.own}
			paths, _ := discover(sys, nil, newMemory())
			for i := range paths {
				paths[i].Addrs[0].Table = tt.table
			}
			paths = warn(paths, sys)
			diff(t, "warning on the best path", tt.wlanWarn, paths[0].Warning != "")
			diff(t, "warning on the second path", tt.wwan, paths[1].Warning != "")
		})
	}
}
