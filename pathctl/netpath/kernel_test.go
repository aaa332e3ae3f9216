package netpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A lab is a host with two uplinks (wan0, wan1) to one router that has a
// server's address on it.
//
//	wan0 192.0.2.2/24    2001:db8:1::2/64 ── up0 …1     router, server:
//	wan1 198.51.100.2/24 2001:db8:2::2/64 ── up1 …1     203.0.113.1, 2001:db8:ff::1
type lab struct{ host, router *testNS }

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{host: newTestNS(t), router: newTestNS(t)}
	for i, nets := range [][2]string{{"192.0.2.", "2001:db8:1::"}, {"198.51.100.", "2001:db8:2::"}} {
		wan, up := fmt.Sprintf("wan%d", i), fmt.Sprintf("up%d", i)
		l.host.veth(wan, l.router, up)
		l.router.addAddr(up, nets[0]+"1/24")
		l.router.addAddr(up, nets[1]+"1/64")
		l.configure(wan)
	}
	l.router.addAddr("lo", "203.0.113.1/32")
	l.router.addAddr("lo", "2001:db8:ff::1/128")
	return l
}

// configure gives an uplink what DHCP and router advertisements would.
func (l lab) configure(wan string) {
	l.host.t.Helper()
	v4, v6, metric := "192.0.2.", "2001:db8:1::", 100
	if wan == "wan1" {
		v4, v6, metric = "198.51.100.", "2001:db8:2::", 200
	}
	l.host.addAddr(wan, v4+"2/24")
	l.host.addAddr(wan, v6+"2/64")
	l.host.addDefault(wan, v4+"1", metric)
	l.host.addDefault(wan, v6+"1", metric)
}

// bothUp holds when both paths are complete, source routing included.
func bothUp(paths []Path) bool {
	return len(paths) == 2 && complete(paths[0]) && complete(paths[1])
}

func complete(p Path) bool {
	return p.State == Up && len(p.Addrs) == 2 && p.Addrs[0].Table != 0 && p.Addrs[1].Table != 0
}

func TestDiscoverKernel(t *testing.T) {
	l := newLab(t)
	l.host.stub("dock0") // an address, but no default route
	l.host.addAddr("dock0", "10.9.0.1/24")
	got, err := Discover(context.Background(), Config{NetNS: l.host.fd}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].RxBytes, got[i].TxBytes = 0, 0
	}
	ip := netip.MustParseAddr
	want := []Path{
		{Name: "wan0", Interface: "wan0", Index: l.host.index("wan0"), Rank: 1, State: Up, Addrs: []Addr{
			{Addr: ip("192.0.2.2"), Gateway: ip("192.0.2.1")}, {Addr: ip("2001:db8:1::2"), Gateway: ip("2001:db8:1::1")},
		}},
		{Name: "wan1", Interface: "wan1", Index: l.host.index("wan1"), Rank: 2, State: Up, Addrs: []Addr{
			{Addr: ip("198.51.100.2"), Gateway: ip("198.51.100.1")}, {Addr: ip("2001:db8:2::2"), Gateway: ip("2001:db8:2::1")},
		}},
	}
	diff(t, "paths", want, got)
}

// TestEmptyNamespace has not even a main table.
func TestEmptyNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	fd, err := makeNetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	got, err := Discover(context.Background(), Config{NetNS: fd}, nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

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

func TestDefaultRouteMoves(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)

	l.host.delDefault("wan0", "192.0.2.1", 100)
	l.host.delDefault("wan0", "2001:db8:1::1", 100)
	ps := r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })
	diff(t, "what has been a path stays in sight", "no default route", find(ps, "wan0").Reason)
	diff(t, "best path", "wan1", ps[0].Name)

	l.host.addDefault("wan0", "192.0.2.9", 300)
	ps = r.wait("wan0 with another gateway", func(ps []Path) bool { return find(ps, "wan0").State == Up })
	diff(t, "gateway", netip.MustParseAddr("192.0.2.9"), find(ps, "wan0").Addrs[0].Gateway)
	diff(t, "rank by metric", 2, find(ps, "wan0").Rank)
	defaults := slices.DeleteFunc(l.host.own().routes, func(r route) bool {
		return !r.isDefault() || r.gateway != netip.MustParseAddr("192.0.2.9")
	})
	diff(t, "default routes through the new gateway", 1, len(defaults))
}

func TestInterfaceComesBack(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{SourceRouting: true, Selectors: []Selector{{Interface: "wan0"}, {Interface: "wan1", Name: "lte", Metered: true}}})
	first := find(r.wait("both paths", bothUp), "lte")

	l.host.must("delete wan1", l.host.h.LinkDel(l.host.link("wan1")))
	gone := find(r.wait("lte down", func(ps []Path) bool { return find(ps, "lte").State == Down }), "lte")
	diff(t, "reason", "not found", gone.Reason)
	l.host.waitFor("the rules of a missing interface to go", func() bool { return len(l.host.own().rules) == 6 })

	l.host.stub("other") // takes an index
	l.host.veth("wan1", l.router, "up1")
	l.router.addAddr("up1", "198.51.100.1/24")
	l.router.addAddr("up1", "2001:db8:2::1/64")
	l.configure("wan1")
	again := find(r.wait("lte complete", func(ps []Path) bool { return complete(find(ps, "lte")) }), "lte")
	if again.Index == first.Index {
		t.Errorf("index is still %d", first.Index)
	}
	diff(t, "tables", first.Addrs, again.Addrs)
	for _, rt := range l.host.own().routes {
		if rt.oif == first.Index {
			t.Errorf("a route through the old index is left: %+v", rt)
		}
	}
}

func TestDownAndNoCarrier(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{Selectors: []Selector{{Interface: "wan0"}, {Interface: "nope0", Name: "usb"}, {Interface: "wl*", Name: "wifi"}}})
	ps := r.wait("the first snapshot", func([]Path) bool { return true })
	diff(t, "exact name that is missing", "not found", find(ps, "usb").Reason)
	diff(t, "pattern without match", "no interface matches wl*", find(ps, "wifi").Reason)
	l.router.down("up0")
	ps = r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })
	diff(t, "reason", "no carrier", find(ps, "wan0").Reason)
	l.host.down("wan0")
	r.wait("another reason", func(ps []Path) bool { return find(ps, "wan0").Reason == "link down" })
}

// TestGatewayIsAskedAnew: the search for a gateway that began while the path was
// down does not outlive its return.
func TestGatewayIsAskedAnew(t *testing.T) {
	l := newLab(t)
	gateway := neighbour{l.host.index("wan0"), netip.MustParseAddr("192.0.2.99")} // never answers
	other := neighbour{gateway.index, netip.MustParseAddr("192.0.2.98")}
	l.host.delDefault("wan0", "192.0.2.1", 100)
	l.host.addDefault("wan0", gateway.addr.String(), 100)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	l.router.down("up0")
	r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })

	l.host.do(func() error {
		for _, n := range []neighbour{gateway, other} {
			c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: n.addr.AsSlice(), Port: 9})
			if err != nil {
				return err
			}
			_, err = c.Write([]byte("anybody there?"))
			if err := errors.Join(err, c.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	diff(t, "before wan0 is back", []neighbour{other, gateway}, l.host.unresolved())
	l.router.up("up0")
	r.wait("wan0 up", func(ps []Path) bool { return find(ps, "wan0").State == Up })
	diff(t, "when wan0 is back", []neighbour{other}, l.host.unresolved())
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
	ours.Table, ours.Priority, ours.Protocol = 100, 26000, routeProtocol
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
				if rl.src == netip.MustParsePrefix("192.0.2.99/32") {
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
	s, err := openSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.close()
	dead := uplink{iface: "gone0", index: ns.index("wan0"), addr: netip.MustParseAddr("192.0.2.99")}
	p := plan{rules: rulesFor(dead, 1, firstNumber+1), routes: routesFor(dead, firstNumber+1)}
	for i := range p.routes {
		p.routes[i].src = netip.Addr{}
	}
	failed, err := s.apply(reconcile(p, plan{}))
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

	s, err := openSession(context.Background(), l.host.fd)
	l.host.must("open session", err)
	defer s.close()
	sys, err := s.readSystem(testLog(t))
	l.host.must("read system", err)
	paths, ups := discover(sys, nil, newMemory())
	diff(t, "paths", 5, len(paths))
	want, _ := desired(ups, make(slots))
	failed, err := s.apply(reconcile(want, plan{}))
	l.host.must("apply", errors.Join(err, joinFailures(failed)))
	diff(t, "what is left to do", changes{}, reconcile(want, l.host.own()))
	if via := find(paths, "via6"); len(via.Addrs) != 1 || via.Addrs[0].Gateway != netip.MustParseAddr("fe80::9") {
		t.Errorf("IPv4 path with an IPv6 gateway: %+v", via)
	}
	limited := slices.ContainsFunc(l.host.own().routes, func(r route) bool { return r.limits == routeLimits{mtu: 1400, advMSS: 1300} })
	diff(t, "route metrics taken over", true, limited)
}

// TestTrafficLeavesBySourceAddress needs the rules to be right: by the main
// table alone everything leaves through wan0.
func TestTrafficLeavesBySourceAddress(t *testing.T) {
	l := newLab(t)
	l.host.sysctl("ipv4/conf/all/rp_filter", "0")
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "0")
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	for _, tt := range []struct{ name, iface, from, to string }{
		{"IPv4 second link", "wan1", "198.51.100.2", "203.0.113.1"},
		{"IPv6 second link", "wan1", "2001:db8:2::2", "2001:db8:ff::1"},
		{"IPv4 first link", "wan0", "192.0.2.2", "203.0.113.1"},
		{"IPv6 first link", "wan0", "2001:db8:1::2", "2001:db8:ff::1"},
	} {
		t.Run(tt.name, func(t *testing.T) { l.transfer(t, r.m, tt.iface, tt.from, tt.to) })
	}
}

// TestStrictReversePathFilter: with source routing the strict filter does no
// harm; without, the path says what it needs, until it has got that.
func TestStrictReversePathFilter(t *testing.T) {
	l := newLab(t)
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "1")
	l.host.sysctl("ipv4/conf/all/rp_filter", "1")
	r := l.host.run(Config{SourceRouting: true})
	ps := r.wait("both paths", bothUp)
	diff(t, "warning with source routing", "", find(ps, "wan1").Warning)
	l.transfer(t, r.m, "wan1", "198.51.100.2", "203.0.113.1")
	r.stop()

	r = l.host.run(Config{})
	ps = r.wait("a warning", func(ps []Path) bool { return find(ps, "wan1").Warning != "" })
	diff(t, "warning on the best path", "", find(ps, "wan0").Warning)
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "2")
	r.wait("no warning", func(ps []Path) bool { return find(ps, "wan1").Warning == "" })
}

const transferBytes = 1 << 20

// transfer sends bytes from one address to the server and checks by which
// interface they left.
func (l lab) transfer(t *testing.T, m *Monitor, iface, from, to string) {
	t.Helper()
	before, err := m.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.send(from, to); err != nil {
		t.Fatal(err)
	}
	after, err := m.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, wan := range []string{"wan0", "wan1"} {
		sent := after[wan].TxBytes - before[wan].TxBytes
		if used := sent >= transferBytes; used != (wan == iface) {
			t.Errorf("%s sent %d bytes of a transfer from %s", wan, sent, from)
		}
	}
}

func (l lab) send(from, to string) error {
	var ln net.Listener
	listen := func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(to, "0")); return err }
	if err := inNetNS(l.router.fd, listen); err != nil {
		return err
	}
	defer func() { _ = ln.Close() }()
	got := make(chan error, 1)
	go receiveAll(ln, got)

	var c net.Conn
	dial := func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: waitTimeout, FallbackDelay: -1}
		c, err = d.Dial("tcp", ln.Addr().String())
		return err
	}
	if err := inNetNS(l.host.fd, dial); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	_, err := c.Write(make([]byte, transferBytes))
	err = errors.Join(err, c.Close())
	return errors.Join(err, <-got)
}

func receiveAll(ln net.Listener, done chan<- error) {
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(waitTimeout))
	c, err := ln.Accept()
	if err != nil {
		done <- err
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	n, err := io.Copy(io.Discard, c)
	if err == nil && n != transferBytes {
		err = fmt.Errorf("received %d bytes", n)
	}
	done <- err
}

// TestLocalNetworksStayReachable: a path's address must go on answering to
// networks that the main table knows by a route of their own.
func TestLocalNetworksStayReachable(t *testing.T) {
	l := newLab(t)
	lan := newTestNS(t)
	l.host.veth("lan0", lan, "eth0")
	l.host.addAddr("lan0", "10.9.0.1/24")
	lan.addAddr("eth0", "10.9.0.2/24")
	lan.addDefault("eth0", "10.9.0.1", 0)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	if err := (lab{host: l.host, router: lan}).send("198.51.100.2", "10.9.0.2"); err != nil {
		t.Errorf("from a path's address to a local network: %v", err)
	}
}

// TestSameSubnetTwice: WiFi and Ethernet in one home have one subnet. What is on
// the link is reached by the link that the address belongs to.
func TestSameSubnetTwice(t *testing.T) {
	host, first, second := newTestNS(t), newTestNS(t), newTestNS(t)
	for i, peer := range []*testNS{first, second} {
		wan := fmt.Sprintf("wan%d", i)
		host.veth(wan, peer, "up0")
		host.addAddr(wan, fmt.Sprintf("192.0.2.%d/24", 2+i))
		host.addDefault(wan, "192.0.2.1", 100+i)
		peer.addAddr("up0", fmt.Sprintf("192.0.2.%d/24", 52+i))
	}
	r := host.run(Config{SourceRouting: true})
	r.wait("both paths", func(ps []Path) bool { return len(ps) == 2 && ps[1].Addrs[0].Table != 0 })
	for i, peer := range []*testNS{first, second} {
		if err := (lab{host: host, router: peer}).send(fmt.Sprintf("192.0.2.%d", 2+i), fmt.Sprintf("192.0.2.%d", 52+i)); err != nil {
			t.Errorf("on link %d: %v", i, err)
		}
	}
}

const unprivilegedEnv = "NETPATH_TEST_UNPRIVILEGED"

// TestWithoutCapability runs a monitor in a process without capabilities.
func TestWithoutCapability(t *testing.T) {
	l := newLab(t)
	exe := copyOfTestBinary(t)
	for _, tt := range []struct {
		pattern   string // of interfaces
		paths     int
		leftOvers bool
	}{
		{"*", 2, false},
		{"nope*", 0, false}, // nothing to do, so no attempt tells
		{"*", 2, true},
	} {
		if tt.leftOvers {
			l.host.leaveLeftOvers()
		}
		cmd := exec.Command(exe)
		cmd.Dir = "/"
		cmd.Env = []string{unprivilegedEnv + "=" + tt.pattern}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
		var out []byte
		l.host.do(func() error { out, _ = cmd.CombinedOutput(); return nil }) // the output says more than the exit code
		t.Logf("%s", out)
		for _, want := range []string{fmt.Sprintf("%d paths up", tt.paths), "not permitted", "0 tables", "stopped <nil>"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%+v: no %q in the output", tt, want)
			}
		}
	}
}

// copyOfTestBinary is readable by everybody, which the go command's is not.
func copyOfTestBinary(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "netpath")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe := filepath.Join(dir, "netpath.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(exe, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	return exe
}

// unprivilegedMain is the process of TestWithoutCapability. It runs in the
// namespace of the lab's host, as the daemon would.
func unprivilegedMain() int {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	var m *Monitor
	tables := 0
	notify := func(paths []Path) {
		up := 0
		for _, p := range paths {
			if p.State == Up {
				up++
			}
			for _, a := range p.Addrs {
				if a.Table != 0 {
					tables++
				}
			}
		}
		fmt.Printf("%d paths up\n", up)
		if on, reason := m.SourceRouting(); !on && errors.Is(reason, ErrNotPermitted) {
			fmt.Printf("not permitted: %v\n", reason)
		}
		cancel()
	}
	sels := []Selector{{Interface: os.Getenv(unprivilegedEnv)}}
	m = New(Config{Selectors: sels, SourceRouting: true, Notify: notify}, nil)
	err := m.Run(ctx)
	fmt.Printf("%d tables\nstopped %v\n", tables, err)
	return 0
}
