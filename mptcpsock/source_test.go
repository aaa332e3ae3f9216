package mptcpsock

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"mpproxy/test/veth"
)

// TestSourceAndInterface: a connection that is bound to address and interface
// leaves over that interface, whatever the routes prefer. The peer's address is
// behind both links, and the routes over the first one are better.
func TestSourceAndInterface(t *testing.T) {
	needMPTCP(t)
	client, server := twoLinks(t)
	for _, f := range []struct {
		name, far, mask, source string
		via                     [2]string
	}{
		{"IPv4", "203.0.113.1", "/32", client24, [2]string{server4, server24}},
		{"IPv6", "2001:db8:9::1", "/128", client26, [2]string{server6, server26}},
	} {
		t.Run(f.name, func(t *testing.T) {
			server.AddAddr(t, "lo", f.far+f.mask)
			far := netip.MustParseAddr(f.far)
			client.Do(t, func() {
				for i, name := range []string{"link1", "link2"} {
					addRoute(t, name, far, netip.MustParseAddr(f.via[i]), 10*(i+1))
				}
			})
			d := Dialer{Strict: true, LocalAddr: netip.MustParseAddr(f.source), Interface: "link2"}
			leavesOver(t, client, server, d, far, "link2")
		})
	}
}

// TestSources: a connection begins at the first source that leads to the peer and
// has an address of its family. It is bound to no interface towards its own host.
func TestSources(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	from := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 0) }
	d := Dialer{Sources: []Source{{Addr: from("::1")}, {Addr: from("203.0.113.7")}, {Addr: from("127.0.0.3"), Interface: "nosuch0"}}}
	c, s := connect(t, d, ln, ln.Addr())
	if got := s.RemoteAddrPort().Addr(); got != netip.MustParseAddr("127.0.0.3") || boundDevice(t, c) != "" {
		t.Errorf("the connection comes from %v, bound to %q, want the last source, bound to no interface", got, boundDevice(t, c))
	}
	d.Sources = d.Sources[:1]
	if _, err := d.Dial(testContext(t), ln.Addr()); !errors.Is(err, ErrAddressFamily) {
		t.Errorf("without a source of the family: %v", err)
	}
}

// leavesOver dials and sends 1 MiB, which must leave over one interface.
func leavesOver(t *testing.T, client, server veth.Namespace, d Dialer, to netip.Addr, iface string) {
	const size = 1 << 20
	var ln *Listener
	server.Do(t, func() { ln = listen(t, ListenConfig{Strict: true}, "[::]:0") })
	var c, s *Conn
	var before, after uint64
	client.Do(t, func() {
		before = sentOver(t, iface)
		c, s = connect(t, d, ln, netip.AddrPortFrom(to, ln.Addr().Port()))
	})
	written := make(chan error, 1)
	go writeAndClose(c, make([]byte, size), written)
	for got := 0; got < size; {
		n, err := s.Read(make([]byte, 64<<10))
		must(t, err)
		got += n
	}
	must(t, <-written)
	client.Do(t, func() { after = sentOver(t, iface) })
	if after-before < size {
		t.Errorf("%d bytes left over %s, want all of 1 MiB", after-before, iface)
	}
}

func addRoute(t *testing.T, iface string, to, via netip.Addr, metric int) {
	t.Helper()
	link, err := netlink.LinkByName(iface)
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Gw: via.AsSlice(), Priority: metric,
		Dst: &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(to.BitLen(), to.BitLen())},
	}))
}

// sentOver counts the bytes that an interface of the calling thread's namespace
// has sent.
func sentOver(t *testing.T, iface string) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(iface)
	must(t, err)
	return link.Attrs().Statistics.TxBytes
}
