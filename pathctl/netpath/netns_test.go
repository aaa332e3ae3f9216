package netpath

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// waitTimeout is for events that must come; nothing depends on how long they
// take.
const waitTimeout = 20 * time.Second

// A testNS is a network namespace that a test made for itself.
type testNS struct {
	t  *testing.T
	fd int
	h  *vnl.Handle
}

// newTestNS makes a namespace with lo up. It skips where that is impossible,
// which it never is for root.
func newTestNS(t *testing.T) *testNS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	fd, err := makeNetNS()
	if err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	h, err := vnl.NewHandleAt(netns.NsHandle(fd))
	if err != nil {
		t.Fatalf("open netlink in namespace: %v", err)
	}
	t.Cleanup(h.Close)
	ns := &testNS{t: t, fd: fd, h: h}
	// No link-local addresses: their notifications, seconds after a link came
	// up, would make up for one that we failed to ask for.
	ns.sysctl("ipv6/conf/default/addr_gen_mode", "1") // IN6_ADDR_GEN_MODE_NONE
	ns.up("lo")
	return ns
}

// makeNetNS sacrifices a thread: it ends with the goroutine.
func makeNetNS() (fd int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		fd, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}()
	<-done
	return fd, err
}

// do runs f on a thread inside the namespace. f must not call t.Fatal.
func (ns *testNS) do(f func() error) {
	ns.t.Helper()
	if err := inNetNS(ns.fd, f); err != nil {
		ns.t.Fatal(err)
	}
}

func (ns *testNS) must(what string, err error) {
	ns.t.Helper()
	if err != nil {
		ns.t.Fatalf("%s: %v", what, err)
	}
}

func (ns *testNS) link(name string) vnl.Link {
	ns.t.Helper()
	l, err := ns.h.LinkByName(name)
	ns.must("find "+name, err)
	return l
}

func (ns *testNS) index(name string) int { ns.t.Helper(); return ns.link(name).Attrs().Index }
func (ns *testNS) up(name string)        { ns.t.Helper(); ns.must("up "+name, ns.h.LinkSetUp(ns.link(name))) }

func (ns *testNS) down(name string) {
	ns.t.Helper()
	ns.must("down "+name, ns.h.LinkSetDown(ns.link(name)))
}

// stub makes an interface that leads nowhere. Not every kernel has dummy
// devices; the other end of a veth pair is as good.
func (ns *testNS) stub(name string) {
	ns.t.Helper()
	ns.veth(name, ns, name+"-end")
}

// veth makes a pair between two namespaces and brings both ends up.
func (ns *testNS) veth(name string, peer *testNS, peerName string) {
	ns.t.Helper()
	v := &vnl.Veth{LinkAttrs: vnl.LinkAttrs{Name: name}, PeerName: peerName, PeerNamespace: vnl.NsFd(peer.fd)}
	ns.must("add "+name, ns.h.LinkAdd(v))
	ns.up(name)
	peer.up(peerName)
}

func (ns *testNS) vnlAddr(cidr string) *vnl.Addr {
	ns.t.Helper()
	a, err := vnl.ParseAddr(cidr)
	ns.must("parse "+cidr, err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD // usable at once
	}
	return a
}

// addAddr returns when the kernel has finished: the local route of an IPv6
// address follows some time later (addrconf_dad_work, net/ipv6/addrconf.c).
func (ns *testNS) addAddr(iface, cidr string) {
	ns.t.Helper()
	a := ns.vnlAddr(cidr)
	ns.must("add "+cidr, ns.h.AddrAdd(ns.link(iface), a))
	if a.IP.To4() != nil {
		return
	}
	local := netip.PrefixFrom(rtnl.ToAddr(a.IP), 128)
	ns.waitFor("the local route of "+cidr, func() bool {
		s, err := rtnl.OpenSession(context.Background(), ns.fd)
		ns.must("open session", err)
		defer s.Close()
		routes, err := s.ReadRoutes(testLog(ns.t), rtnl.IPv6, unix.RT_TABLE_LOCAL, 0)
		ns.must("read routes", err)
		return slices.ContainsFunc(routes, func(r rtnl.Route) bool { return r.Dst == local })
	})
}

// waitFor looks at each notification of the kernel whether ok holds.
func (ns *testNS) waitFor(what string, ok func() bool) {
	ns.t.Helper()
	w, err := openWatch(ns.fd)
	ns.must("watch", err)
	defer func() { _ = w.Close() }()
	ns.must("deadline", w.SetReadDeadline(time.Now().Add(waitTimeout)))
	for !ok() {
		if _, err := w.Receive(); err != nil {
			ns.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func (ns *testNS) delAddr(iface, cidr string) {
	ns.t.Helper()
	ns.must("delete "+cidr, ns.h.AddrDel(ns.link(iface), ns.vnlAddr(cidr)))
}

func (ns *testNS) defaultRoute(iface, gw string, metric int) *vnl.Route {
	ns.t.Helper()
	r := &vnl.Route{LinkIndex: ns.index(iface), Gw: net.ParseIP(gw), Priority: metric}
	r.Dst = &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if strings.Contains(gw, ":") {
		r.Dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	return r
}

func (ns *testNS) addDefault(iface, gw string, metric int) {
	ns.t.Helper()
	ns.must("add default via "+gw, ns.h.RouteAdd(ns.defaultRoute(iface, gw, metric)))
}

func (ns *testNS) delDefault(iface, gw string, metric int) {
	ns.t.Helper()
	ns.must("delete default via "+gw, ns.h.RouteDel(ns.defaultRoute(iface, gw, metric)))
}

// sysctl writes below /proc/sys/net of this namespace.
func (ns *testNS) sysctl(key, value string) {
	ns.t.Helper()
	ns.do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// state is every rule and route of the namespace, of all tables and protocols,
// one line each.
func (ns *testNS) state() []string {
	ns.t.Helper()
	s, err := rtnl.OpenSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.Close()
	log := testLog(ns.t)
	var lines []string
	for _, fam := range []rtnl.Family{rtnl.IPv4, rtnl.IPv6} {
		rules, err := s.ReadRules(log, fam)
		ns.must("rules", err)
		for _, r := range rules {
			lines = append(lines, fmt.Sprintf("rule %+v", r))
		}
		routes, err := s.ReadRoutes(log, fam, 0, 0)
		ns.must("routes", err)
		for _, r := range routes {
			if r.Kind == unix.RTN_MULTICAST || r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast() {
				continue // these come by themselves, some time after a link is up
			}
			lines = append(lines, fmt.Sprintf("route %+v", r))
		}
	}
	slices.Sort(lines)
	return lines
}

// own is what of it is ours.
func (ns *testNS) own() plan {
	ns.t.Helper()
	s, err := rtnl.OpenSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.Close()
	rules, routes, err := s.ReadOwn(testLog(ns.t))
	ns.must("read own", err)
	return plan{rules, routes}
}

// unresolved are the neighbours that have not answered.
func (ns *testNS) unresolved() []rtnl.Neighbour {
	ns.t.Helper()
	s, err := rtnl.OpenSession(context.Background(), ns.fd)
	ns.must("open session", err)
	defer s.Close()
	all, err := s.ReadUnresolved(testLog(ns.t))
	ns.must("read neighbours", err)
	slices.SortFunc(all, func(a, b rtnl.Neighbour) int { return a.Addr.Compare(b.Addr) })
	return all
}

// A running is a Monitor in a test.
type running struct {
	t        *testing.T
	m        *Monitor
	snapshot chan []Path
	cancel   context.CancelFunc
	done     chan error
	stopped  bool
}

func (ns *testNS) run(cfg Config) *running {
	ns.t.Helper()
	r := &running{t: ns.t, snapshot: make(chan []Path, 1000), done: make(chan error, 1)}
	cfg.NetNS = ns.fd
	cfg.Notify = func(paths []Path) { r.snapshot <- paths }
	r.m = New(cfg, testLog(ns.t))
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.m.Run(ctx) }()
	ns.t.Cleanup(r.stop)
	return r
}

// wait returns the first snapshot for which ok holds.
func (r *running) wait(what string, ok func([]Path) bool) []Path {
	r.t.Helper()
	timeout := time.After(waitTimeout)
	var last []Path
	for {
		select {
		case last = <-r.snapshot:
			if ok(last) {
				return last
			}
		case err := <-r.done:
			r.done <- err
			r.t.Fatalf("waiting for %s: Run returned %v", what, err)
		case <-timeout:
			r.t.Fatalf("no snapshot with %s; the last one: %+v", what, last)
		}
	}
}

func (r *running) stop() {
	r.t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run returned %v", err)
		}
	case <-time.After(waitTimeout):
		r.t.Error("Run did not return")
	}
}

func find(paths []Path, name string) Path {
	for _, p := range paths {
		if p.Name == name {
			return p
		}
	}
	return Path{}
}

func hasAddr(p Path, addr string) bool {
	a := netip.MustParseAddr(addr)
	return slices.ContainsFunc(p.Addrs, func(x Addr) bool { return x.Addr == a })
}

var diffOptions = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.AllowUnexported(rtnl.System{}, rtnl.Link{}, rtnl.Address{}, rtnl.Route{}, rtnl.Rule{}, uplink{}, plan{}, changes{}, rtnl.RouteLimits{}, rtnl.Neighbour{}),
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, diffOptions); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
