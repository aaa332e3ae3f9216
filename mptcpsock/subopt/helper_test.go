package subopt_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/test/conns"
	"mpproxy/test/netns"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testContext bounds every wait of a test; it is no performance claim.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// open opens a Setter in a host, or skips where eBPF is not permitted.
func open(t testing.TB, h *netns.Host) *subopt.Setter {
	t.Helper()
	var s *subopt.Setter
	err := h.Do(testContext(t), func() (err error) {
		s, err = subopt.Open()
		return err
	})
	if errors.Is(err, subopt.ErrNotPermitted) && (len(bpfenv.MissingCapabilities()) > 0 || os.Getenv("MPPROXY_NETNS_ENTERED") != "") {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); !errors.Is(err, subopt.ErrClosed) {
			must(t, err)
		}
	})
	return s
}

// A world is a client and a server on two links.
type world struct{ client, server *netns.Host }

// addrs are the addresses of the ends of each link, client and server, by family.
var addrs = map[string][2][2]netip.Addr{
	"IPv4": {{addr("192.0.2.1"), addr("192.0.2.2")}, {addr("198.51.100.1"), addr("198.51.100.2")}},
	"IPv6": {{addr("2001:db8:1::1"), addr("2001:db8:1::2")}, {addr("2001:db8:2::1"), addr("2001:db8:2::2")}},
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// newWorld makes it. The server announces its second address, so that each
// connection gets a second subflow there.
func newWorld(t testing.TB, family string) world {
	t.Helper()
	netns.Require(t)
	ctx := testContext(t)
	w := world{conns.NewHost(t, "client"), conns.NewHost(t, "server")}
	for i, name := range []string{"one0", "two0"} {
		must(t, w.connect(ctx, name, addrs[family][i]))
	}
	must(t, w.client.Do(ctx, func() error { return conns.ManagePaths(ctx, netip.Addr{}) }))
	must(t, w.server.Do(ctx, func() error { return conns.ManagePaths(ctx, addrs[family][1][1]) }))
	return w
}

// connect lays a veth pair, with an address at each end.
func (w world) connect(ctx context.Context, name string, ends [2]netip.Addr) error {
	err := w.client.Do(ctx, func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(w.server.NetNS())}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return up(name, ends[0])
	})
	if err != nil {
		return err
	}
	return w.server.Do(ctx, func() error { return up(name, ends[1]) })
}

// up switches an interface on and gives it an address that is usable at once.
func up(name string, a netip.Addr) error {
	i, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(i); err != nil {
		return err
	}
	bits := map[bool]int{true: 24, false: 64}[a.Is4()]
	n, err := netlink.ParseAddr(netip.PrefixFrom(a, bits).String())
	if err != nil {
		return err
	}
	if a.Is6() {
		n.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(i, n)
}

// An end is one end of a subflow.
type end struct {
	server        bool
	local, remote netip.AddrPort
}

func (e end) String() string {
	return map[bool]string{true: "server", false: "client"}[e.server] + " " + e.local.String()
}

func (w world) host(e end) *netns.Host {
	if e.server {
		return w.server
	}
	return w.client
}

// listen opens a listener on the server; one on [::] is dual-stack.
func (w world) listen(t testing.TB, on netip.AddrPort) *mptcpsock.Listener {
	t.Helper()
	ctx := testContext(t)
	var ln *mptcpsock.Listener
	must(t, w.server.Do(ctx, func() (err error) {
		ln, err = (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, on)
		return err
	}))
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(30*time.Second)))
	return ln
}

// A pair is a connection with two subflows, both established at both ends.
type pair struct{ client, server *mptcpsock.Conn }

const port = 4000

// dial makes a pair.
func (w world) dial(t testing.TB, family string, ln *mptcpsock.Listener) pair {
	t.Helper()
	ctx := testContext(t)
	to := netip.AddrPortFrom(addrs[family][0][1], ln.Addr().Port())
	var p pair
	must(t, w.client.Do(ctx, func() (err error) {
		p.client, err = (&mptcpsock.Dialer{Strict: true}).Dial(ctx, to)
		return err
	}))
	t.Cleanup(func() { _ = p.client.Close() })
	var err error
	p.server, err = ln.Accept()
	must(t, err)
	t.Cleanup(func() { _ = p.server.Close() })
	conns.Exchange(t, p.client, p.server)
	conns.Exchange(t, p.server, p.client)
	conns.AwaitSubflows(t, p.client, 2)
	conns.AwaitSubflows(t, p.server, 2)
	return p
}

// ends returns both ends of both subflows, the initial one's first.
func (p pair) ends(t testing.TB) []end {
	t.Helper()
	var all []end
	for _, s := range conns.AwaitSubflows(t, p.client, 2) {
		all = append(all, end{local: s.Local, remote: s.Remote}, end{server: true, local: s.Remote, remote: s.Local})
	}
	slices.SortStableFunc(all, func(a, b end) int { return first(b, p) - first(a, p) })
	return all
}

func first(e end, p pair) int {
	if e.local == p.client.LocalAddrPort() || e.remote == p.client.LocalAddrPort() {
		return 1
	}
	return 0
}

// tcp returns the kernel's TCP_INFO of the subflow of an end.
func (p pair) tcp(t testing.TB, e end) uapi.TCPInfo {
	t.Helper()
	c := p.client
	if e.server {
		c = p.server
	}
	for _, s := range conns.AwaitSubflows(t, c, 2) {
		if s.Local == e.local && s.Remote == e.remote {
			return s.TCP
		}
	}
	t.Fatalf("no subflow %v", e)
	return uapi.TCPInfo{}
}
