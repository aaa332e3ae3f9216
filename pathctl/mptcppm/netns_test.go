package mptcppm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// testContext bounds every wait of a test; it is no performance claim.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// newNetNS moves the calling goroutine, for the rest of its life, to a thread of
// its own in a new network namespace with lo up. The thread ends with it. A
// subtest runs elsewhere: hand it sockets, which stay where they were opened.
func newNetNS(t testing.TB) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		t.Skip("the kernel has no MPTCP: ", err)
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("root without CAP_SYS_ADMIN cannot make a network namespace")
	}
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	return ns
}

// kernelHasPathManagerName tells Linux 6.15 and later from earlier ones.
func kernelHasPathManagerName() bool {
	_, err := os.Stat("/proc/sys/net/mptcp/path_manager")
	return err == nil
}

// userspacePM hands the namespace of the calling thread to user space.
func userspacePM(t testing.TB) {
	t.Helper()
	err := os.WriteFile("/proc/sys/net/mptcp/path_manager", []byte("userspace"), 0)
	if err != nil { // before Linux 6.15
		err = os.WriteFile("/proc/sys/net/mptcp/pm_type", []byte("1"), 0)
	}
	must(t, err)
}

func dialClient(t testing.TB) *Client {
	t.Helper()
	c, err := Dial(nil)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dialEvents(t testing.TB) *Events {
	t.Helper()
	e, err := DialEvents(nil)
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// hosts are two namespaces, joined by two links, seen from a goroutine whose
// thread is in the client's.
type hosts struct{ client, server netns.NsHandle }

// newHosts makes them: link 1 has 192.0.2.0/24 and 2001:db8:1::/64, link 2
// 198.51.100.0/24 and 2001:db8:2::/64; the client is .1, the server .2. User
// space manages paths in both.
func newHosts(t testing.TB) hosts {
	t.Helper()
	h := hosts{server: newNetNS(t)}
	userspacePM(t)
	h.client = newNetNS(t)
	userspacePM(t)
	there, err := netlink.NewHandleAt(h.server)
	must(t, err)
	t.Cleanup(there.Close)
	here, err := netlink.NewHandle()
	must(t, err)
	t.Cleanup(here.Close)
	for i, nets := range [][2]string{{"192.0.2.%d/24", "2001:db8:1::%d/64"}, {"198.51.100.%d/24", "2001:db8:2::%d/64"}} {
		name := fmt.Sprintf("link%d", i+1)
		must(t, here.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(h.server),
		}))
		configure(t, here, name, 1, nets)
		configure(t, there, name, 2, nets)
	}
	return h
}

func configure(t testing.TB, h *netlink.Handle, link string, host int, nets [2]string) {
	t.Helper()
	l, err := h.LinkByName(link)
	must(t, err)
	for _, format := range nets {
		addr, err := netlink.ParseAddr(fmt.Sprintf(format, host))
		must(t, err)
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		must(t, h.AddrAdd(l, addr))
	}
	must(t, h.LinkSetUp(l))
}

// onServer runs fn with the calling thread in the server's namespace.
func (h hosts) onServer(t testing.TB, fn func()) {
	t.Helper()
	must(t, netns.Set(h.server))
	defer func() { must(t, netns.Set(h.client)) }()
	fn()
}

// listen opens an MPTCP listener in the calling thread's namespace. network is
// tcp4, tcp6, or tcp for both with [::].
func listen(t testing.TB, network, addr string) *net.TCPListener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(testContext(t), network, addr)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// dial opens an MPTCP connection from the calling thread's namespace.
func dial(t testing.TB, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(true)
	conn, err := d.DialContext(testContext(t), "tcp", to.String())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// accept takes the other end of client, and sends a byte each way, so that both
// ends may have further subflows. Go falls back to TCP silently: not here.
func accept(t testing.TB, l *net.TCPListener, client *net.TCPConn) *net.TCPConn {
	t.Helper()
	must(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	server, err := l.AcceptTCP()
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	pingPong(t, client, server)
	pingPong(t, server, client)
	for _, c := range []*net.TCPConn{client, server} {
		if ok, err := c.MultipathTCP(); err != nil || !ok {
			t.Fatalf("%v is not MPTCP: %v", c.LocalAddr(), err)
		}
	}
	return server
}

func pingPong(t testing.TB, from, to net.Conn) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	must(t, from.SetDeadline(deadline))
	must(t, to.SetDeadline(deadline))
	_, err := from.Write([]byte{'x'})
	must(t, err)
	_, err = io.ReadFull(to, make([]byte, 1))
	must(t, err)
}

// watcher reads an events socket and keeps what nobody asked for yet: the
// events of both ends of a connection come in any order.
type watcher struct {
	*Events
	seen []Event
}

func watch(t testing.TB) *watcher { return &watcher{Events: dialEvents(t)} }

// await returns the first event that pred likes, which no earlier call returned.
func (w *watcher) await(t testing.TB, what string, pred func(Event) bool) Event {
	t.Helper()
	for i, e := range w.seen {
		if pred(e) {
			w.seen = slices.Delete(w.seen, i, i+1)
			return e
		}
	}
	for e, err := range w.All(testContext(t)) {
		switch {
		case err != nil:
			t.Fatalf("waiting for %s: %v; seen: %v", what, err, w.seen)
		case pred(e):
			t.Logf("%s: %v", what, e)
			return e
		}
		w.seen = append(w.seen, e)
	}
	return Event{}
}

// of returns the next event of a kind about one connection.
func (w *watcher) of(t testing.TB, kind EventKind, token uapi.Token) Event {
	t.Helper()
	return w.await(t, fmt.Sprintf("%v of %v", kind, token), func(e Event) bool {
		return e.Kind == kind && e.Token == token
	})
}

// established returns the event of one end of a new connection.
func (w *watcher) established(t testing.TB, serverSide bool) Event {
	t.Helper()
	return w.await(t, "established", func(e Event) bool {
		return e.Kind == EventEstablished && e.ServerSide == serverSide
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
