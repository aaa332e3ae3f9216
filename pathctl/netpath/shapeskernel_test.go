package netpath

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// discover takes one snapshot of the namespace, in lines.
func (ns *testNS) discover(sels ...Selector) []string {
	ns.t.Helper()
	paths, err := Discover(context.Background(), Config{NetNS: ns.fd, Selectors: sels}, testLog(ns.t))
	ns.must("discover", err)
	return summary(paths)
}

// oneUplink is a namespace like the system oneLink.
func oneUplink(t *testing.T) *testNS {
	t.Helper()
	ns := newTestNS(t)
	ns.stub("eth0")
	ns.addAddr("eth0", "192.0.2.2/24")
	ns.addDefault("eth0", "192.0.2.1", 100)
	return ns
}

func TestTunnelKernel(t *testing.T) {
	for mode, want := range map[vnl.TuntapMode]string{
		vnl.TUNTAP_MODE_TUN: "tun0 on tun0 down: no carrier", vnl.TUNTAP_MODE_TAP: "tun0 on tun0 down: no carrier",
	} {
		ns := oneUplink(t)
		ns.do(func() error {
			return vnl.LinkAdd(&vnl.Tuntap{LinkAttrs: vnl.LinkAttrs{Name: "tun0"}, Mode: mode})
		})
		ns.up("tun0")
		s, err := rtnl.OpenSession(context.Background(), ns.fd)
		ns.must("open session", err)
		links, err := s.ReadLinks(testLog(t))
		s.Close()
		ns.must("read links", err)
		i := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Name == "tun0" })
		diff(t, "kind", "tun", links[i].Kind)
		diff(t, "a tunnel", mode == vnl.TUNTAP_MODE_TUN, links[i].Tunnel() != "")
		diff(t, "asked for", []string{want}, ns.discover(Selector{Interface: "tun0"}))
	}
}

func TestAlternativeNameKernel(t *testing.T) {
	ns := oneUplink(t)
	ns.must("alternative name", ns.h.LinkAddAltName(ns.link("eth0"), "wanlte0"))
	diff(t, "by its alternative name", []string{eth0}, ns.discover(Selector{Interface: "wanlte0"}))
}

// TestRenameKernel: a path that runs follows its interface to the new name.
func TestRenameKernel(t *testing.T) {
	ns := oneUplink(t)
	r := ns.run(Config{SourceRouting: true, Selectors: []Selector{{Interface: "eth0"}}})
	before := r.wait("the path", func(ps []Path) bool { return len(ps) == 1 && ps[0].Addrs[0].Table != 0 })
	ns.must("rename", ns.h.LinkSetName(ns.link("eth0"), "wan9"))
	after := r.wait("the new name", func(ps []Path) bool { return len(ps) == 1 && ps[0].Interface == "wan9" })
	diff(t, "path", []string{"eth0 on wan9 192.0.2.2 via 192.0.2.1"}, summary(after))
	diff(t, "index", before[0].Index, after[0].Index)
}

func TestOtherTableKernel(t *testing.T) {
	ns := oneUplink(t)
	ns.delDefault("eth0", "192.0.2.1", 100)
	route := ns.defaultRoute("eth0", "192.0.2.1", 100)
	route.Table = 100
	ns.must("add route", ns.h.RouteAdd(route))
	diff(t, "without a word", []string{"eth0 on eth0 down: no default route in the main table, which alone counts unless you say otherwise: there is one in table 100, which [[path]] uses with table = 100"}, ns.discover())
	diff(t, "with its table", []string{eth0}, ns.discover(Selector{Interface: "eth0", Table: 100}))
	diff(t, "with its gateway", []string{"eth0@192.0.2.1 on eth0 192.0.2.2 via 192.0.2.1"},
		ns.discover(Selector{Interface: "eth0", Gateway: netip.MustParseAddr("192.0.2.1")}))
}

// TestNexthopObjects: routes refer to objects, and the kernel says no more.
func TestNexthopObjects(t *testing.T) {
	ns := oneUplink(t)
	ns.delDefault("eth0", "192.0.2.1", 100)
	ns.sysctl("ipv4/nexthop_compat_mode", "0")
	s, err := rtnl.OpenSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.Close()
	ask := func(what string, kind uint16, head []byte, attrs func(*netlink.AttributeEncoder)) {
		t.Helper()
		ae := netlink.NewAttributeEncoder()
		attrs(ae)
		b, err := ae.Encode()
		ns.must(what, err)
		_, err = s.Execute(what, kind, netlink.Acknowledge|netlink.Create|netlink.Excl, append(head, b...))
		ns.must(what, err)
	}
	object := []byte{unix.AF_INET, 0, 0, 0, 0, 0, 0, 0}
	ask("add nexthop", unix.RTM_NEWNEXTHOP, object, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.NHA_ID, 5)
		ae.Uint32(unix.NHA_OIF, uint32(ns.index("eth0")))
		ae.Bytes(unix.NHA_GATEWAY, []byte{192, 0, 2, 1})
	})
	ask("add group", unix.RTM_NEWNEXTHOP, []byte{0, 0, 0, 0, 0, 0, 0, 0}, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.NHA_ID, 6)
		ae.Bytes(unix.NHA_GROUP, append(binary.NativeEndian.AppendUint32(nil, 5), 0, 0, 0, 0))
	})
	head := make([]byte, unix.SizeofRtMsg)
	head[0], head[4], head[5], head[7] = unix.AF_INET, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RTN_UNICAST
	ask("add route", unix.RTM_NEWROUTE, head, func(ae *netlink.AttributeEncoder) { ae.Uint32(rtnl.NextHopIDAttribute, 6) })
	diff(t, "paths", []string{eth0}, ns.discover())
}

// TestKeptAddressKernel: the rules of an address stay while it exists.
func TestKeptAddressKernel(t *testing.T) {
	ns := newTestNS(t)
	ns.stub("eth0")
	ns.addAddr("eth0", "2001:db8::2/64")
	ns.addDefault("eth0", "2001:db8::1", 100)
	r := ns.run(Config{SourceRouting: true})
	r.wait("the path", func(ps []Path) bool {
		return len(ps) == 1 && hasAddr(ps[0], "2001:db8::2") && ps[0].Addrs[0].Table != 0
	})
	ns.addAddr("eth0", "2001:db8:9::2/64")
	old := ns.vnlAddr("2001:db8::2/64")
	old.ValidLft, old.PreferedLft = 3600, 0
	ns.must("deprecate", ns.h.AddrReplace(ns.link("eth0"), old))
	r.wait("the other address", func(ps []Path) bool { return hasAddr(ps[0], "2001:db8:9::2") && ps[0].Addrs[0].Table != 0 })
	rulesOf := func(addr string) (n int) {
		for _, r := range ns.own().rules {
			if r.Src.Addr() == netip.MustParseAddr(addr) {
				n++
			}
		}
		return n
	}
	diff(t, "rules of the deprecated address", 3, rulesOf("2001:db8::2"))
	diff(t, "rules of the new one", 3, rulesOf("2001:db8:9::2"))
	ns.delAddr("eth0", "2001:db8::2/64")
	r.wait("the end of the old address", func(ps []Path) bool { return len(ps[0].Kept) == 0 })
	diff(t, "its rules", 0, rulesOf("2001:db8::2"))
}
