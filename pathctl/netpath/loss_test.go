package netpath

import (
	"net/netip"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

func TestLossOf(t *testing.T) {
	message := func(kind uint16, b []byte, err error) netlink.Message {
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: b}
	}
	linkMessage := func(kind uint16, flags uint32) netlink.Message {
		b, err := (&rtnetlink.LinkMessage{Index: 3, Flags: flags}).MarshalBinary()
		return message(kind, b, err)
	}
	addrMessage := func(kind uint16) netlink.Message {
		ip := netip.MustParseAddr("192.0.2.2").AsSlice()
		b, err := (&rtnetlink.AddressMessage{
			Family: unix.AF_INET, Index: 3, Attributes: &rtnetlink.AddressAttributes{Address: ip, Local: ip},
		}).MarshalBinary()
		return message(kind, b, err)
	}
	for _, tt := range []struct {
		name string
		msg  netlink.Message
		want loss
		ok   bool
	}{
		{"link works", linkMessage(unix.RTM_NEWLINK, upFlags), loss{index: 3}, false},
		{"link set down", linkMessage(unix.RTM_NEWLINK, 0), loss{index: 3}, true},
		{"no carrier", linkMessage(unix.RTM_NEWLINK, unix.IFF_UP), loss{index: 3}, true},
		{"no carrier, not yet reported", linkMessage(unix.RTM_NEWLINK, unix.IFF_UP|unix.IFF_RUNNING), loss{index: 3}, true},
		{"link gone", linkMessage(unix.RTM_DELLINK, upFlags), loss{index: 3}, true},
		{"address", addrMessage(unix.RTM_NEWADDR), loss{}, false},
		{"address gone", addrMessage(unix.RTM_DELADDR), loss{3, netip.MustParseAddr("192.0.2.2")}, true},
		{"undecodable", message(unix.RTM_DELADDR, []byte{1}, nil), loss{}, false},
		{"route gone", message(unix.RTM_DELROUTE, nil, nil), loss{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := lossOf(tt.msg)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %+v, %t", got, ok)
			}
		})
	}
}

// TestNewsOfLossesAreBounded: what does not fit is a hint like any other.
func TestNewsOfLossesAreBounded(t *testing.T) {
	n := newNews()
	b, err := (&rtnetlink.LinkMessage{Index: 3}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxLosses {
		n.lost(netlink.Message{Header: netlink.Header{Type: unix.RTM_DELLINK}, Data: b})
	}
	diff(t, "waiting", maxLosses, len(n.losses))
}

func TestConcerns(t *testing.T) {
	paths := []Path{
		{Name: "a", Index: 1, State: Up, Addrs: []Addr{{Addr: netip.MustParseAddr("192.0.2.2")}}},
		{Name: "b", Index: 2, State: Down},
	}
	for _, tt := range []struct {
		name string
		loss loss
		want bool
	}{
		{"link in use", loss{index: 1}, true},
		{"address in use", loss{1, netip.MustParseAddr("192.0.2.2")}, true},
		{"another address", loss{1, netip.MustParseAddr("192.0.2.3")}, false},
		{"path that is down already", loss{index: 2}, false},
		{"no path of ours", loss{index: 3}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			diff(t, "concerns", tt.want, tt.loss.concerns(paths))
		})
	}
}

func TestRemaining(t *testing.T) {
	wlan := Path{Name: "wifi", Interface: "wlan0", Index: 1, Rank: 1, State: Up, Addrs: wlanAddrs}
	wwan := Path{Name: "wwan0", Interface: "wwan0", Index: 2, Rank: 2, State: Up, Addrs: wwanAddrs}
	lost := func(p Path, reason string) Path {
		p.State, p.Reason, p.Addrs = Down, reason, nil
		return p
	}
	unlinked := lost(wwan, "not found")
	unlinked.Index = 0
	four := wlan
	four.Addrs = wlanAddrs[:1]
	for _, tt := range []struct {
		name   string
		change func(*rtnl.System)
		want   []Path
	}{
		{"nothing", func(*rtnl.System) {}, []Path{wlan, wwan}},
		{"no carrier", func(s *rtnl.System) { s.Links[1].Flags = unix.IFF_UP }, []Path{wlan, lost(wwan, "no carrier")}},
		{"set down", func(s *rtnl.System) { s.Links[2].Flags = 0 }, []Path{lost(wlan, "link down"), wwan}},
		{"interface gone", func(s *rtnl.System) { s.Links = append(s.Links[:1], s.Links[2]) }, []Path{wlan, unlinked}},
		{"its name on another index", func(s *rtnl.System) { s.Links[1].Index = 7 }, []Path{wlan, unlinked}},
		{"only address gone", func(s *rtnl.System) { s.Addrs = s.Addrs[:3] }, []Path{wlan, lost(wwan, "no address")}},
		{"one of two addresses gone", func(s *rtnl.System) { s.Addrs = append(s.Addrs[:2], s.Addrs[3]) }, []Path{four, wwan}},
		{"default routes gone, which are looked at later", func(s *rtnl.System) { s.Routes = nil }, []Path{wlan, wwan}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := twoLinks()
			tt.change(&sys)
			diff(t, "paths", tt.want, remaining(clonePaths([]Path{wlan, wwan}), sys.Links, sys.Addrs))
		})
	}
}

// TestLossIsToldAtOnce: without waiting for quiet, and only when it is true.
func TestLossIsToldAtOnce(t *testing.T) {
	l := newLab(t)
	var told [][]Path
	r := newRunner(New(Config{NetNS: l.host.fd, Notify: func(ps []Path) { told = append(told, ps) }}, testLog(t)))
	ctx := t.Context()
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	wan1 := loss{index: l.host.index("wan1")}
	r.lose(ctx, wan1) // old news: it works
	diff(t, "snapshots after a false alarm", 1, len(told))
	l.host.down("wan1")
	r.lose(ctx, wan1)
	diff(t, "snapshots after a loss", 2, len(told))
	diff(t, "state", Down, find(told[1], "wan1").State)
	l.host.delAddr("wan0", "192.0.2.2/24")
	r.lose(ctx, loss{l.host.index("wan0"), netip.MustParseAddr("192.0.2.2")})
	diff(t, "snapshots after the loss of an address", 3, len(told))
	diff(t, "addresses left", 1, len(find(told[2], "wan0").Addrs))
	_, err := r.refresh(ctx)
	l.host.must("refresh", err)
	diff(t, "the complete look agrees", Down, find(told[len(told)-1], "wan1").State)
}
