package netpath

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

func TestRuleRoundTrip(t *testing.T) {
	p, _ := wanted(t)
	for _, want := range p.rules {
		b, err := rtnl.EncodeRule(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rtnl.DecodeRule(b)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "rule", want, got)
	}
}

func TestRouteRoundTrip(t *testing.T) {
	p, ups := wanted(t)
	routes := p.routes
	ups[0].gateway = netip.MustParseAddr("fe80::7") // RTA_VIA
	ups[0].onLink = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	ups[0].limits = rtnl.RouteLimits{MTU: 1400, AdvMSS: 1300, InitCwnd: 20, InitRwnd: 30}
	routes = append(routes, routesFor(ups[0], 27100)...)
	for _, want := range routes {
		b, err := rtnl.EncodeRoute(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rtnl.DecodeRoute(b)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "route", []rtnl.Route{want}, got)
	}
}

func TestDecodeMultipath(t *testing.T) {
	ae := netlink.NewAttributeEncoder()
	hop := func(index uint32, gw byte) []byte { // struct rtnexthop, then RTA_GATEWAY
		b := []byte{16, 0, 0, 0}
		b = binary.NativeEndian.AppendUint32(b, index)
		b = append(b, 8, 0, unix.RTA_GATEWAY, 0)
		return append(b, 192, 0, 2, gw)
	}
	ae.Bytes(unix.RTA_MULTIPATH, append(hop(3, 1), hop(4, 2)...))
	attrs, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, unix.SizeofRtMsg)
	head[0], head[4], head[7] = unix.AF_INET, unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	got, err := rtnl.DecodeRoute(append(head, attrs...))
	if err != nil {
		t.Fatal(err)
	}
	var hops []string
	for _, r := range got {
		hops = append(hops, r.Gateway.String())
	}
	diff(t, "gateways", []string{"192.0.2.1", "192.0.2.2"}, hops)
	diff(t, "interfaces", []int{3, 4}, []int{got[0].OIF, got[1].OIF})
}

// TestDecodeLinkOfTheFuture: statistics that grew and odd hardware addresses
// must not hide an interface.
func TestDecodeLinkOfTheFuture(t *testing.T) {
	stats := make([]byte, 512)
	binary.NativeEndian.PutUint64(stats[16:], 1111)
	binary.NativeEndian.PutUint64(stats[24:], 2222)
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, "wwan0")
	ae.Bytes(unix.IFLA_ADDRESS, []byte{1})
	ae.Bytes(unix.IFLA_STATS64, stats)
	ae.Uint32(unix.IFLA_MASTER, 9)
	attrs, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(head[4:], 7)
	binary.NativeEndian.PutUint32(head[8:], upFlags)
	got, err := rtnl.DecodeLink(append(head, attrs...))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "link", rtnl.Link{Index: 7, Name: "wwan0", Flags: upFlags, Master: 9, MAC: "\x01", Counters: rtnl.Counters{RxBytes: 1111, TxBytes: 2222}}, got)
}

// TestBadMessageIsLeftOut: one undecodable message must not cost the others.
func TestBadMessageIsLeftOut(t *testing.T) {
	p, _ := wanted(t)
	good, err := rtnl.EncodeRule(p.rules[0])
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := rtnl.EncodeRule(p.rules[1])
	if err != nil {
		t.Fatal(err)
	}
	unknown = append(unknown, 8, 0, 250, 0, 1, 2, 3, 4) // an attribute of a later kernel, refused by the codec
	if _, err := rtnl.DecodeRule(unknown); err == nil {
		t.Fatal("the unknown attribute is accepted: this test shows nothing any more")
	}
	header := netlink.Header{Type: unix.RTM_NEWRULE}
	got := rtnl.DecodeAll(testLog(t), []netlink.Message{{Header: header, Data: unknown}, {Header: header, Data: good[:5]}, {Header: header, Data: good}}, unix.RTM_NEWRULE, rtnl.DecodeRule)
	diff(t, "rules", p.rules[:1], got)
}

func FuzzDecode(f *testing.F) {
	p := plan{rules: rulesFor(uplink{addr: netip.MustParseAddr("192.0.2.1")}, 0, 27000), routes: routesFor(uplink{addr: netip.MustParseAddr("2001:db8::1"), gateway: netip.MustParseAddr("fe80::1")}, 27000)}
	for _, r := range p.rules {
		b, _ := rtnl.EncodeRule(r)
		f.Add(b)
	}
	for _, r := range p.routes {
		b, _ := rtnl.EncodeRoute(r)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = rtnl.DecodeLink(b)
		_, _ = rtnl.DecodeAddress(b)
		_, _, _ = rtnl.DecodeNetconf(b)
		if r, err := rtnl.DecodeRule(b); err == nil && r.Src.IsValid() && rtnl.FamilyOf(r.Src.Addr()) != r.Family {
			t.Errorf("rule %+v mixes families", r)
		}
		routes, err := rtnl.DecodeRoute(b)
		for _, r := range routes {
			if err == nil && rtnl.FamilyOf(r.Dst.Addr()) != r.Family {
				t.Errorf("route %+v mixes families", r)
			}
		}
		isRelevant(netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWROUTE}, Data: b})
	})
}
