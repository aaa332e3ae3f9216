package netpath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

func TestSourceRoutingFollowsAndRestores(t *testing.T) {
	l := newLab(t)
	before := l.host.state()
	r := l.host.run(Config{SourceRouting: true})
	paths := r.wait("both paths", bothUp)
	if on, reason := r.m.SourceRouting(); !on {
		t.Fatalf("source routing is off: %v", reason)
	}
	tables := map[string]Path{"wan0": paths[0], "wan1": paths[1]}

	l.host.delAddr("wan1", "198.51.100.2/24") // takes the IPv4 default route with it
	r.wait("no IPv4 on wan1", func(ps []Path) bool { return len(find(ps, "wan1").Addrs) == 1 })
	l.host.addAddr("wan1", "198.51.100.7/24")
	l.host.addDefault("wan1", "198.51.100.1", 200)
	ps := r.wait("the new address", func(ps []Path) bool {
		return hasAddr(find(ps, "wan1"), "198.51.100.7") && complete(find(ps, "wan1"))
	})
	diff(t, "table of a changed address", tables["wan1"].Addrs[0].Table, find(ps, "wan1").Addrs[0].Table)

	l.host.delAddr("wan1", "198.51.100.7/24")
	l.host.addAddr("wan1", "198.51.100.2/24")
	l.host.addDefault("wan1", "198.51.100.1", 200)
	r.wait("the old address", func(ps []Path) bool { return hasAddr(find(ps, "wan1"), "198.51.100.2") })

	r.stop()
	diff(t, "rules and routes after stop", before, l.host.state())
}

func TestTwoInstances(t *testing.T) {
	l := newLab(t)
	first := l.host.run(Config{SourceRouting: true})
	first.wait("both paths", bothUp)
	placed := l.host.own()

	second := l.host.run(Config{SourceRouting: true})
	ps := second.wait("the first snapshot", func([]Path) bool { return true })
	diff(t, "paths of the second instance", 2, len(ps))
	if on, reason := second.m.SourceRouting(); on || !errors.Is(reason, ErrInUse) {
		t.Errorf("source routing of the second instance: %v, %v", on, reason)
	}
	if err := second.m.Cleanup(context.Background()); !errors.Is(err, ErrInUse) {
		t.Errorf("Cleanup beside a living instance: %v", err)
	}
	second.stop()
	diff(t, "rules and routes of the first instance", placed, l.host.own())
}

func TestForeignStaysAndOursHeals(t *testing.T) {
	l := newLab(t)
	foreign := vnl.NewRule() // in our range, but not ours
	foreign.Src = &net.IPNet{IP: net.IPv4(192, 0, 2, 2).To4(), Mask: net.CIDRMask(32, 32)}
	foreign.Table, foreign.Priority = 100, 27001
	l.host.must("add foreign rule", l.host.h.RuleAdd(foreign))
	ours := vnl.NewRule() // tagged as ours, out of our range
	ours.Table, ours.Priority, ours.Protocol = 100, 26000, rtnl.RouteProtocol
	ours.Src = foreign.Src
	l.host.must("add rule", l.host.h.RuleAdd(ours))
	inTable := &vnl.Route{LinkIndex: l.host.index("wan0"), Table: 27000, Dst: &net.IPNet{IP: net.IPv4(203, 0, 113, 0).To4(), Mask: net.CIDRMask(24, 32)}}
	l.host.must("add foreign route", l.host.h.RouteAdd(inTable))
	before := l.host.state()

	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	placed := l.host.own()
	l.host.removeOwn()
	l.host.waitFor("what another program removed", func() bool { return reconcile(placed, l.host.own()).empty() })
	r.stop()
	diff(t, "rules and routes after stop", before, l.host.state())
}

// removeOwn is another program that removes our rules and routes.
func (ns *testNS) removeOwn() {
	ns.t.Helper()
	ns.must("remove", removeOwn(context.Background(), ns.fd, testLog(ns.t)))
}

func TestLeftOversOfACrash(t *testing.T) {
	for _, routing := range []bool{true, false} {
		t.Run(fmt.Sprintf("source routing %v", routing), func(t *testing.T) {
			l := newLab(t)
			before := l.host.state()
			l.host.leaveLeftOvers()
			r := l.host.run(Config{SourceRouting: routing})
			r.wait("both paths", func(ps []Path) bool { return len(ps) == 2 })
			for _, rl := range l.host.own().rules {
				if rl.Src == netip.MustParsePrefix("192.0.2.99/32") {
					t.Errorf("left-over rule %+v", rl)
				}
			}
			if !routing {
				diff(t, "rules and routes without source routing", before, l.host.state())
				if _, reason := r.m.SourceRouting(); !errors.Is(reason, ErrDisabled) {
					t.Errorf("reason %v", reason)
				}
			}
			r.stop()
			diff(t, "rules and routes after stop", before, l.host.state())
		})
	}
}

// leaveLeftOvers adds what a process that was killed would have left.
func (ns *testNS) leaveLeftOvers() {
	ns.t.Helper()
	s, err := rtnl.OpenSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.Close()
	dead := uplink{iface: "gone0", index: ns.index("wan0"), addr: netip.MustParseAddr("192.0.2.99")}
	p := plan{rules: rulesFor(dead, 1, rtnl.FirstNumber+1), routes: routesFor(dead, rtnl.FirstNumber+1)}
	for i := range p.routes {
		p.routes[i].Src = netip.Addr{}
	}
	failed, err := apply(s, reconcile(p, plan{}))
	ns.must("add left-overs", errors.Join(err, joinFailures(failed)))
	diff(ns.t, "left-overs in place", p, ns.own())
}

func TestReconcileSettles(t *testing.T) {
	l := newLab(t)
	l.host.must("add MTU route", l.host.h.RouteReplace(&vnl.Route{
		LinkIndex: l.host.index("wan0"), Gw: net.ParseIP("192.0.2.1"), Priority: 100, MTU: 1400, AdvMSS: 1300,
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
	}))
	l.host.stub("ppp7") // point-to-point: default routes without a gateway
	l.host.addAddr("ppp7", "192.0.2.129/32")
	l.host.addAddr("ppp7", "2001:db8:7::1/128")
	l.host.must("p2p default", l.host.h.RouteAdd(&vnl.Route{
		LinkIndex: l.host.index("ppp7"), Priority: 900, Scope: vnl.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
	}))
	l.host.must("p2p default", l.host.h.RouteAdd(&vnl.Route{
		LinkIndex: l.host.index("ppp7"), Priority: 900,
		Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}))
	l.host.stub("via6") // IPv4 by an IPv6 gateway, and an on-link gateway that no prefix covers
	l.host.addAddr("via6", "192.0.2.130/32")
	l.host.must("via default", l.host.h.RouteAdd(&vnl.Route{
		LinkIndex: l.host.index("via6"), Priority: 901,
		Via: &vnl.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::9")},
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
	}))
	l.host.stub("far0")
	l.host.addAddr("far0", "192.0.2.131/32")
	l.host.addAddr("far0", "2001:db8:8::1/128")
	for _, gw := range []string{"172.31.1.1", "2001:db8:9::1"} {
		rt := l.host.defaultRoute("far0", gw, 902)
		rt.Flags = int(vnl.FLAG_ONLINK)
		l.host.must("on-link default", l.host.h.RouteAdd(rt))
	}

	s, err := rtnl.OpenSession(context.Background(), l.host.fd)
	l.host.must("open session", err)
	defer s.Close()
	sys, err := s.ReadSystem(testLog(t))
	l.host.must("read system", err)
	paths, ups := discover(sys, nil, newMemory())
	diff(t, "paths", 5, len(paths))
	want, _ := desired(ups, make(slots))
	failed, err := apply(s, reconcile(want, plan{}))
	l.host.must("apply", errors.Join(err, joinFailures(failed)))
	diff(t, "what is left to do", changes{}, reconcile(want, l.host.own()))
	if via := find(paths, "via6"); len(via.Addrs) != 1 || via.Addrs[0].Gateway != netip.MustParseAddr("fe80::9") {
		t.Errorf("IPv4 path with an IPv6 gateway: %+v", via)
	}
	limited := slices.ContainsFunc(l.host.own().routes, func(r rtnl.Route) bool { return r.Limits == rtnl.RouteLimits{MTU: 1400, AdvMSS: 1300} })
	diff(t, "route metrics taken over", true, limited)
}
