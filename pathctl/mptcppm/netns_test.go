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

// addAddr gives an interface of the calling thread's namespace an address that
// is usable at once.
func addAddr(t testing.TB, link, cidr string) {
	t.Helper()
	l, err := netlink.LinkByName(link)
	must(t, err)
	addr, err := netlink.ParseAddr(cidr)
	must(t, err)
	addr.Flags = unix.IFA_F_NODAD
	must(t, netlink.AddrAdd(l, addr))
}

// listen opens a strict MPTCP listener in the calling thread's namespace.
func listen(t testing.TB, addr string) *net.TCPListener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(testContext(t), "tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// connect opens an MPTCP connection to a listener and returns both of its ends.
// A byte went each way, so both ends may have further subflows.
func connect(t testing.TB, l *net.TCPListener, to string) (client, server *net.TCPConn) {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(true)
	conn, err := d.DialContext(testContext(t), "tcp", to)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	server, err = l.AcceptTCP()
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	client = conn.(*net.TCPConn)
	pingPong(t, client, server)
	pingPong(t, server, client)
	for _, c := range []*net.TCPConn{client, server} {
		if ok, err := c.MultipathTCP(); err != nil || !ok {
			t.Fatalf("%v is not MPTCP: %v", c.LocalAddr(), err)
		}
	}
	return client, server
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

// established returns the events of both ends of a new connection.
func (w *watcher) established(t testing.TB) (client, server Event) {
	t.Helper()
	for _, end := range []*Event{&client, &server} {
		*end = w.await(t, "established", func(e Event) bool {
			return e.Kind == EventEstablished && e.ServerSide == (end == &server)
		})
	}
	return client, server
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
