package subopt_test

import (
	"context"
	"errors"
	"io"
	"net"
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
	"mpproxy/pathctl/mptcppm"
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
	w := world{newHost(t, "client"), newHost(t, "server")}
	for i, name := range []string{"one0", "two0"} {
		must(t, w.connect(ctx, name, addrs[family][i]))
	}
	must(t, w.client.Do(ctx, func() error { return managePaths(ctx, netip.Addr{}) }))
	must(t, w.server.Do(ctx, func() error { return managePaths(ctx, addrs[family][1][1]) }))
	return w
}

func newHost(t testing.TB, name string) *netns.Host {
	t.Helper()
	h, err := netns.NewHost(testContext(t), netns.HostConfig{Name: name, Logf: t.Logf})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
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

// managePaths lets connections of the calling thread's namespace have a second
// subflow, and announces an address, if valid.
func managePaths(ctx context.Context, announce netip.Addr) error {
	c, err := mptcppm.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetLimits(ctx, mptcppm.Limits{Subflows: 2, AddAddrAccepted: 2}); err != nil || !announce.IsValid() {
		return err
	}
	return c.AddEndpoint(ctx, mptcppm.Endpoint{Addr: announce, ID: 1, Flags: mptcppm.FlagSignal})
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
	exchange(t, p.client, p.server)
	exchange(t, p.server, p.client)
	awaitSubflows(t, p.client, 2)
	awaitSubflows(t, p.server, 2)
	return p
}

// ends returns both ends of both subflows, the initial one's first.
func (p pair) ends(t testing.TB) []end {
	t.Helper()
	var all []end
	for _, s := range awaitSubflows(t, p.client, 2) {
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
	for _, s := range awaitSubflows(t, c, 2) {
		if s.Local == e.local && s.Remote == e.remote {
			return s.TCP
		}
	}
	t.Fatalf("no subflow %v", e)
	return uapi.TCPInfo{}
}

// exchange sends a byte.
func exchange(t testing.TB, from, to net.Conn) {
	t.Helper()
	must(t, to.SetReadDeadline(time.Now().Add(30*time.Second)))
	_, err := from.Write([]byte{'x'})
	must(t, err)
	_, err = io.ReadFull(to, make([]byte, 1))
	must(t, err)
}

// transfer sends so much that both subflows are used.
func transfer(t testing.TB, from, to net.Conn) {
	t.Helper()
	const size = 4 << 20
	received := make(chan error, 1)
	go receive(to, size, received)
	_, err := from.Write(make([]byte, size))
	must(t, errors.Join(err, <-received))
}

func receive(from net.Conn, n int64, received chan<- error) {
	_ = from.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err := io.CopyN(io.Discard, from, n)
	received <- err
}

// awaitSubflows waits until a connection has n established subflows.
func awaitSubflows(t testing.TB, c *mptcpsock.Conn, n int) []mptcpsock.Subflow {
	t.Helper()
	var now []mptcpsock.Subflow
	until(t, "established subflows", func() bool {
		all, err := c.Subflows()
		must(t, err)
		now = slices.DeleteFunc(all, func(s mptcpsock.Subflow) bool { return s.TCP.State != uapi.TCPEstablished })
		return len(now) == n
	})
	return now
}

// until asks again and again for what no event tells.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}
