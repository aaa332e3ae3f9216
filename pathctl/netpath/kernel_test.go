package netpath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// A lab is a host with two uplinks (wan0, wan1) to one router that has a
// server's address on it.
//
//	wan0 192.0.2.2/24    2001:db8:1::2/64 ── up0 …1     router, server:
//	wan1 198.51.100.2/24 2001:db8:2::2/64 ── up1 …1     203.0.113.1, 2001:db8:ff::1
type lab struct{ host, router *testNS }

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{host: newTestNS(t), router: newTestNS(t)}
	for i, nets := range [][2]string{{"192.0.2.", "2001:db8:1::"}, {"198.51.100.", "2001:db8:2::"}} {
		wan, up := fmt.Sprintf("wan%d", i), fmt.Sprintf("up%d", i)
		l.host.veth(wan, l.router, up)
		l.router.addAddr(up, nets[0]+"1/24")
		l.router.addAddr(up, nets[1]+"1/64")
		l.configure(wan)
	}
	l.router.addAddr("lo", "203.0.113.1/32")
	l.router.addAddr("lo", "2001:db8:ff::1/128")
	return l
}

// configure gives an uplink what DHCP and router advertisements would.
func (l lab) configure(wan string) {
	l.host.t.Helper()
	v4, v6, metric := "192.0.2.", "2001:db8:1::", 100
	if wan == "wan1" {
		v4, v6, metric = "198.51.100.", "2001:db8:2::", 200
	}
	l.host.addAddr(wan, v4+"2/24")
	l.host.addAddr(wan, v6+"2/64")
	l.host.addDefault(wan, v4+"1", metric)
	l.host.addDefault(wan, v6+"1", metric)
}

// bothUp holds when both paths are complete, source routing included.
func bothUp(paths []Path) bool {
	return len(paths) == 2 && complete(paths[0]) && complete(paths[1])
}

func complete(p Path) bool {
	return p.State == Up && len(p.Addrs) == 2 && p.Addrs[0].Table != 0 && p.Addrs[1].Table != 0
}

func TestDiscoverKernel(t *testing.T) {
	l := newLab(t)
	l.host.stub("dock0") // an address, but no default route
	l.host.addAddr("dock0", "10.9.0.1/24")
	got, err := Discover(context.Background(), Config{NetNS: l.host.fd}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].RxBytes, got[i].TxBytes = 0, 0
	}
	ip := netip.MustParseAddr
	want := []Path{
		{Name: "wan0", Interface: "wan0", Index: l.host.index("wan0"), Rank: 1, State: Up, Addrs: []Addr{
			{Addr: ip("192.0.2.2"), Gateway: ip("192.0.2.1")}, {Addr: ip("2001:db8:1::2"), Gateway: ip("2001:db8:1::1")},
		}},
		{Name: "wan1", Interface: "wan1", Index: l.host.index("wan1"), Rank: 2, State: Up, Addrs: []Addr{
			{Addr: ip("198.51.100.2"), Gateway: ip("198.51.100.1")}, {Addr: ip("2001:db8:2::2"), Gateway: ip("2001:db8:2::1")},
		}},
	}
	diff(t, "paths", want, got)
}

// TestEmptyNamespace has not even a main table.
func TestEmptyNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	fd, err := makeNetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	got, err := Discover(context.Background(), Config{NetNS: fd}, nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDefaultRouteMoves(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)

	l.host.delDefault("wan0", "192.0.2.1", 100)
	l.host.delDefault("wan0", "2001:db8:1::1", 100)
	ps := r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })
	diff(t, "what has been a path stays in sight", "no default route", find(ps, "wan0").Reason)
	diff(t, "best path", "wan1", ps[0].Name)

	l.host.addDefault("wan0", "192.0.2.9", 300)
	ps = r.wait("wan0 with another gateway", func(ps []Path) bool { return find(ps, "wan0").State == Up })
	diff(t, "gateway", netip.MustParseAddr("192.0.2.9"), find(ps, "wan0").Addrs[0].Gateway)
	diff(t, "rank by metric", 2, find(ps, "wan0").Rank)
	defaults := slices.DeleteFunc(l.host.own().routes, func(r rtnl.Route) bool {
		return !r.IsDefault() || r.Gateway != netip.MustParseAddr("192.0.2.9")
	})
	diff(t, "default routes through the new gateway", 1, len(defaults))
}

func TestInterfaceComesBack(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{SourceRouting: true, Selectors: []Selector{{Interface: "wan0"}, {Interface: "wan1", Name: "lte", Metered: true}}})
	first := find(r.wait("both paths", bothUp), "lte")

	l.host.must("delete wan1", l.host.h.LinkDel(l.host.link("wan1")))
	gone := find(r.wait("lte down", func(ps []Path) bool { return find(ps, "lte").State == Down }), "lte")
	diff(t, "reason", "not found", gone.Reason)
	l.host.waitFor("the rules of a missing interface to go", func() bool { return len(l.host.own().rules) == 6 })

	l.host.stub("other") // takes an index
	l.host.veth("wan1", l.router, "up1")
	l.router.addAddr("up1", "198.51.100.1/24")
	l.router.addAddr("up1", "2001:db8:2::1/64")
	l.configure("wan1")
	again := find(r.wait("lte complete", func(ps []Path) bool { return complete(find(ps, "lte")) }), "lte")
	if again.Index == first.Index {
		t.Errorf("index is still %d", first.Index)
	}
	diff(t, "tables", first.Addrs, again.Addrs)
	for _, rt := range l.host.own().routes {
		if rt.OIF == first.Index {
			t.Errorf("a route through the old index is left: %+v", rt)
		}
	}
}

func TestDownAndNoCarrier(t *testing.T) {
	l := newLab(t)
	r := l.host.run(Config{Selectors: []Selector{{Interface: "wan0"}, {Interface: "nope0", Name: "usb"}, {Interface: "wl*", Name: "wifi"}}})
	ps := r.wait("the first snapshot", func([]Path) bool { return true })
	diff(t, "exact name that is missing", "not found", find(ps, "usb").Reason)
	diff(t, "pattern without match", "no interface matches wl*", find(ps, "wifi").Reason)
	l.router.down("up0")
	ps = r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })
	diff(t, "reason", "no carrier", find(ps, "wan0").Reason)
	l.host.down("wan0")
	r.wait("another reason", func(ps []Path) bool { return find(ps, "wan0").Reason == "link down" })
}

// TestGatewayIsAskedAnew: the search for a gateway that began while the path was
// down does not outlive its return.
func TestGatewayIsAskedAnew(t *testing.T) {
	l := newLab(t)
	gateway := rtnl.Neighbour{Index: l.host.index("wan0"), Addr: netip.MustParseAddr("192.0.2.99")} // never answers
	other := rtnl.Neighbour{Index: gateway.Index, Addr: netip.MustParseAddr("192.0.2.98")}
	l.host.delDefault("wan0", "192.0.2.1", 100)
	l.host.addDefault("wan0", gateway.Addr.String(), 100)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	l.router.down("up0")
	r.wait("wan0 down", func(ps []Path) bool { return find(ps, "wan0").State == Down })

	l.host.do(func() error {
		for _, n := range []rtnl.Neighbour{gateway, other} {
			c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: n.Addr.AsSlice(), Port: 9})
			if err != nil {
				return err
			}
			_, err = c.Write([]byte("anybody there?"))
			if err := errors.Join(err, c.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	diff(t, "before wan0 is back", []rtnl.Neighbour{other, gateway}, l.host.unresolved())
	l.router.up("up0")
	r.wait("wan0 up", func(ps []Path) bool { return find(ps, "wan0").State == Up })
	diff(t, "when wan0 is back", []rtnl.Neighbour{other}, l.host.unresolved())
}

const unprivilegedEnv = "NETPATH_TEST_UNPRIVILEGED"

// TestWithoutCapability runs a monitor in a process without capabilities.
func TestWithoutCapability(t *testing.T) {
	l := newLab(t)
	exe := copyOfTestBinary(t)
	for _, tt := range []struct {
		pattern   string // of interfaces
		paths     int
		leftOvers bool
	}{
		{"*", 2, false},
		{"nope*", 0, false}, // nothing to do, so no attempt tells
		{"*", 2, true},
	} {
		if tt.leftOvers {
			l.host.leaveLeftOvers()
		}
		cmd := exec.Command(exe)
		cmd.Dir = "/"
		cmd.Env = []string{unprivilegedEnv + "=" + tt.pattern}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
		var out []byte
		l.host.do(func() error { out, _ = cmd.CombinedOutput(); return nil }) // the output says more than the exit code
		t.Logf("%s", out)
		for _, want := range []string{fmt.Sprintf("%d paths up", tt.paths), "not permitted", "0 tables", "stopped <nil>"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%+v: no %q in the output", tt, want)
			}
		}
	}
}

// copyOfTestBinary is readable by everybody, which the go command's is not.
func copyOfTestBinary(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "netpath")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe := filepath.Join(dir, "netpath.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(exe, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	return exe
}

// unprivilegedMain is the process of TestWithoutCapability. It runs in the
// namespace of the lab's host, as the daemon would.
func unprivilegedMain() int {
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	var m *Monitor
	tables := 0
	notify := func(paths []Path) {
		up := 0
		for _, p := range paths {
			if p.State == Up {
				up++
			}
			for _, a := range p.Addrs {
				if a.Table != 0 {
					tables++
				}
			}
		}
		fmt.Printf("%d paths up\n", up)
		if on, reason := m.SourceRouting(); !on && errors.Is(reason, ErrNotPermitted) {
			fmt.Printf("not permitted: %v\n", reason)
		}
		cancel()
	}
	sels := []Selector{{Interface: os.Getenv(unprivilegedEnv)}}
	m = New(Config{Selectors: sels, SourceRouting: true, Notify: notify}, nil)
	err := m.Run(ctx)
	fmt.Printf("%d tables\nstopped %v\n", tables, err)
	return 0
}
