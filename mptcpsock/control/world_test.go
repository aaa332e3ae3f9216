package control

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	lab "mpproxy/test/netns"
	"mpproxy/test/veth"
)

// A Controller works in the network namespace of its process. So a test that
// needs one runs again in a process of its own, in a host of package test/netns.
const envInside = "MPPROXY_TEST_INSIDE"

// inside reports whether this is that process; in the other one it runs it and
// takes its result.
func inside(t testing.TB) bool {
	t.Helper()
	if os.Getenv(envInside) == t.Name() {
		return true
	}
	lab.Require(t)
	needMPTCP(t)
	h, err := lab.NewHost(testContext(t), lab.HostConfig{Name: "host"})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	p, err := h.Start(testContext(t), lab.Spec{
		Path: "/proc/self/exe", Args: []string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "120s"},
		Env: []string{envInside + "=" + t.Name(), "GORACE=atexit_sleep_ms=0"},
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		t.Errorf("%v; output:\n%s", err, p.Output())
	} else if strings.Contains(p.Output(), "--- SKIP") {
		t.Skip(p.Output())
	} else if !strings.Contains(p.Output(), "--- PASS: "+t.Name()) {
		t.Errorf("the test did not run:\n%s", p.Output())
	} else if testing.Verbose() {
		t.Log("\n" + p.Output())
	}
	return false
}

// world is this process's host with a Controller, another host, and two links
// between them. On link n this host is .1, the other one .2.
type world struct {
	t          testing.TB
	self, peer veth.Namespace
	ctl        *Controller
	mine, his  *kernelEvents // read independently of the Controller
}

// The addresses of the links: here, there.
var (
	here4  = addrs("192.0.2.1", "198.51.100.1")
	there4 = addrs("192.0.2.2", "198.51.100.2")
	here6  = addrs("2001:db8:1::1", "2001:db8:2::1")
	there6 = addrs("2001:db8:1::2", "2001:db8:2::2")
)

// family is an address family with the hosts' addresses.
type family struct {
	name        string
	here, there []netip.Addr
}

var families = []family{{"IPv4", here4, there4}, {"IPv6", here6, there6}}

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// port0 is an address with the port left to the kernel.
func port0(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 0) }

// newWorld opens the Controller.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := newBareWorld(t)
	w.ctl = openController(t)
	return w
}

func openController(t testing.TB) *Controller {
	t.Helper()
	ctl, err := OpenController(testContext(t), ControllerConfig{StateDir: t.TempDir(), NoSourceRouting: true})
	must(t, err)
	t.Cleanup(func() { must(t, ctl.Close()) })
	return ctl
}

// newBareWorld has no Controller.
func newBareWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, peer: veth.New(t)}
	handle, err := netns.Get()
	must(t, err)
	w.self = veth.Namespace{Handle: handle}
	t.Cleanup(func() { _ = handle.Close() })
	for _, ns := range []veth.Namespace{w.self, w.peer} {
		ns.Do(t, func() { veth.Sysctl(t, "net/ipv6/conf/default/accept_dad", "0") }) // else the first second is lost
	}
	for i, name := range []string{"link1", "link2"} {
		veth.Connect(t, w.self, w.peer, name)
		w.self.AddAddr(t, name, here4[i].String()+"/24")
		w.peer.AddAddr(t, name, there4[i].String()+"/24")
		w.self.AddAddr(t, name, here6[i].String()+"/64")
		w.peer.AddAddr(t, name, there6[i].String()+"/64")
	}
	w.peer.Limits(t, 8)
	w.mine, w.his = watchKernel(t, w.self), watchKernel(t, w.peer)
	return w
}

// addDefaultRoute adds one in the calling thread's namespace.
func addDefaultRoute(t testing.TB, iface string, via netip.Addr, metric int) {
	t.Helper()
	link := must1(netlink.LinkByName(iface))(t)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: via.AsSlice(), Priority: metric}))
}

func setLinkDown(t testing.TB, iface string) {
	t.Helper()
	must(t, netlink.LinkSetDown(must1(netlink.LinkByName(iface))(t)))
}

// kernelEvents collects a namespace's events through a socket of its own.
type kernelEvents struct {
	events *mptcppm.Events
	seen   []mptcppm.Event
	used   map[int]bool
}

func watchKernel(t testing.TB, ns veth.Namespace) *kernelEvents {
	t.Helper()
	ev, err := mptcppm.DialEvents(&mptcppm.Config{NetNS: int(ns.Handle)})
	must(t, err)
	t.Cleanup(func() { _ = ev.Close() })
	return &kernelEvents{events: ev, used: make(map[int]bool)}
}

// await returns the first event that fits and was not returned before.
func (k *kernelEvents) await(t testing.TB, what string, fits func(mptcppm.Event) bool) mptcppm.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for i := 0; ; i++ {
		if i == len(k.seen) {
			ev, err := k.events.Receive(ctx)
			if err != nil {
				t.Fatalf("no kernel event %s: %v; seen: %v", what, err, k.seen)
			}
			k.seen = append(k.seen, ev)
		}
		if !k.used[i] && fits(k.seen[i]) {
			k.used[i] = true
			return k.seen[i]
		}
	}
}

// kind awaits an event of a connection.
func (k *kernelEvents) kind(t testing.TB, kind mptcppm.EventKind, token uapi.Token) mptcppm.Event {
	t.Helper()
	return k.await(t, fmt.Sprintf("%v of %v", kind, token), func(e mptcppm.Event) bool { return e.Kind == kind && e.Token == token })
}

// of awaits an event about a subflow.
func (k *kernelEvents) of(t testing.TB, kind mptcppm.EventKind, p Pair) mptcppm.Event {
	t.Helper()
	return k.await(t, fmt.Sprintf("%v of %v", kind, p), func(e mptcppm.Event) bool { return e.Kind == kind && pairOf(e) == p })
}

// flip is a subflow as the other end sees it.
func flip(p Pair) Pair { return Pair{Local: p.Remote, Remote: p.Local} }

// link is a connection between the two hosts: conn is here, far there.
type pairOfConns struct{ conn, far *Conn }

// dial connects from here to an address there, with data in both directions, so
// that subflows can join.
func (w *world) dial(d Dialer, to netip.Addr) pairOfConns {
	w.t.Helper()
	ln := w.listenThere(port0(netip.IPv6Unspecified()))
	d.Controller = w.ctl
	var p pairOfConns
	p.conn, p.far = connect(w.t, d, ln, netip.AddrPortFrom(to, ln.Addr().Port()))
	p.pingPong(w.t)
	return p
}

func (w *world) listenThere(on netip.AddrPort) (ln *Listener) {
	w.t.Helper()
	w.peer.Do(w.t, func() { ln = listen(w.t, ListenConfig{Strict: true}, on.String()) })
	return ln
}

// accept connects from there to an address here.
func (w *world) accept(lc ListenConfig, to netip.Addr) pairOfConns {
	w.t.Helper()
	lc.Controller = w.ctl
	ln := listen(w.t, lc, "[::]:0")
	var p pairOfConns
	w.peer.Do(w.t, func() {
		var err error
		p.far, err = (&Dialer{Strict: true}).Dial(testContext(w.t), netip.AddrPortFrom(to, ln.Addr().Port()))
		must(w.t, err)
	})
	bound(w.t, p.far)
	p.conn = accept(w.t, ln)
	p.pingPong(w.t)
	return p
}

// pingPong sends a byte each way.
func (p pairOfConns) pingPong(t testing.TB) {
	t.Helper()
	for _, ends := range [][2]*Conn{{p.conn, p.far}, {p.far, p.conn}} {
		_, err := ends[0].Write([]byte{'x'})
		must(t, err)
		_, err = ends[1].Read(make([]byte, 1))
		must(t, err)
	}
}

// both runs a test from either side, over IPv4 and IPv6: conn is here, under
// control, and has its first subflow on link 1.
func (w *world) both(t *testing.T, f func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr)) {
	for _, family := range families {
		t.Run("client "+family.name, func(t *testing.T) {
			w := w.in(t)
			f(t, w, w.dial(Dialer{Strict: true}, family.there[0]), family.here, family.there)
		})
		t.Run("server "+family.name, func(t *testing.T) {
			w := w.in(t)
			f(t, w, w.accept(ListenConfig{Strict: true}, family.here[0]), family.here, family.there)
		})
	}
}

// in is the world with the cleanup and the events of a subtest.
func (w *world) in(t testing.TB) *world {
	t.Helper()
	sub := *w
	sub.t, sub.mine, sub.his = t, watchKernel(t, w.self), watchKernel(t, w.peer)
	return &sub
}

// counter reads one of the kernel's MPTCP counters in a namespace.
func counter(t testing.TB, ns veth.Namespace, name string) int {
	t.Helper()
	value := -1
	ns.Do(t, func() {
		b, err := os.ReadFile("/proc/thread-self/net/netstat")
		must(t, err)
		var names []string
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != "MPTcpExt:" {
				continue
			}
			if names == nil {
				names = fields
				continue
			}
			for i, n := range names {
				if n == name {
					value, err = strconv.Atoi(fields[i])
					must(t, err)
				}
			}
		}
	})
	if value < 0 {
		t.Fatalf("the kernel has no counter %s", name)
	}
	return value
}

// established counts the established subflows.
func established(t testing.TB, c *Conn) int {
	t.Helper()
	return len(must1(c.Pairs())(t))
}
