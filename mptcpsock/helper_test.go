package mptcpsock

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/genetlink"
	mdnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	lab "mpproxy/test/netns"
)

func TestMain(m *testing.M) {
	_ = lab.Enter() // lab.Require repeats the error
	goleak.VerifyTestMain(m)
}

// testContext bounds every wait of a test; it is no performance claim.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must1 is must for a result with a value: must1(f())(t).
func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// needMPTCP skips where the host gives no MPTCP sockets.
func needMPTCP(t testing.TB) {
	t.Helper()
	if err := ProbeMPTCP(); err != nil {
		if _, statErr := os.Stat(sysctlDir); statErr == nil && !errors.Is(err, ErrDisabled) {
			t.Fatal("the kernel has MPTCP, yet: ", err)
		}
		t.Skip(err)
	}
}

// listen listens on an address, with a bound on the wait for connections.
func listen(t testing.TB, lc ListenConfig, on string) *Listener {
	t.Helper()
	ln, err := lc.Listen(testContext(t), netip.MustParseAddrPort(on))
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(30*time.Second)))
	return ln
}

// connect dials a listener, at its own address when to is none, and accepts.
func connect(t testing.TB, d Dialer, ln *Listener, to netip.AddrPort) (client, server *Conn) {
	t.Helper()
	if !to.IsValid() {
		to = ln.Addr()
	}
	client, err := d.Dial(testContext(t), to)
	must(t, err)
	server = accept(t, ln)
	bound(t, client)
	return client, server
}

func accept(t testing.TB, ln *Listener) *Conn {
	t.Helper()
	c, err := ln.Accept()
	must(t, err)
	bound(t, c)
	return c
}

// bound closes c with the test and bounds its waits.
func bound(t testing.TB, c *Conn) {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
}

// dropCapabilities takes all capabilities from the calling thread.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// sockoptInt reads a socket option of a connection.
func sockoptInt(t testing.TB, c *Conn, level, name int) int {
	t.Helper()
	var v int
	var err error
	must(t, c.control(func(fd int) { v, err = unix.GetsockoptInt(fd, level, name) }))
	must(t, err)
	return v
}

// A namespace is a network namespace of a test. Sockets stay where they were
// opened, so only opening them needs do.
type namespace struct{ handle netns.NsHandle }

// newNamespace makes a network namespace with lo up, or skips where that is not
// permitted.
func newNamespace(t testing.TB) namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	var ns namespace
	onThread(t, func() {
		var err error
		ns.handle, err = netns.New()
		if errors.Is(err, syscall.EPERM) {
			t.Skip("root without CAP_SYS_ADMIN cannot make a network namespace")
		}
		must(t, err)
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
	})
	t.Cleanup(func() { _ = ns.handle.Close() })
	return ns
}

// do runs f on a thread in the namespace.
func (ns namespace) do(t testing.TB, f func()) {
	t.Helper()
	onThread(t, func() {
		must(t, netns.Set(ns.handle))
		f()
	})
}

// onThread runs f on a locked thread, which goes back to the namespace it was
// in; if that fails, the thread ends with the test.
func onThread(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	must(t, err)
	defer func() {
		if netns.Set(before) == nil {
			runtime.UnlockOSThread()
		}
		_ = before.Close()
	}()
	f()
}

// sysctl sets a sysctl in the namespace of the calling thread.
func sysctl(t testing.TB, name, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/"+name, []byte(value), 0))
}

// connectNamespaces lays a veth pair between two namespaces, slow enough for what the
// kernel gets right: at several Gbit/s Linux 6.18 now and then resets a subflow that has
// just joined a connection under load (docs/kernel.md).
func connectNamespaces(t testing.TB, a, b namespace, name string) {
	t.Helper()
	a.do(t, func() {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: name},
			PeerName:      name,
			PeerNamespace: netlink.NsFd(b.handle),
		}
		must(t, netlink.LinkAdd(veth))
	})
	for _, ns := range []namespace{a, b} {
		ns.do(t, func() {
			link, err := netlink.LinkByName(name)
			must(t, err)
			must(t, netlink.LinkSetUp(link))
			err = netlink.QdiscAdd(&netlink.Tbf{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
				Rate:       linkRate, Buffer: 256 << 10, Limit: 8 << 20,
			})
			if !errors.Is(err, unix.ENOENT) { // this kernel has no tbf
				must(t, err)
			}
		})
	}
}

const linkRate = 1e9 / 8 // bytes a second

// addAddr gives an interface an address, usable at once.
func (ns namespace) addAddr(t testing.TB, iface, cidr string) {
	t.Helper()
	ns.do(t, func() {
		link, err := netlink.LinkByName(iface)
		must(t, err)
		addr, err := netlink.ParseAddr(cidr)
		must(t, err)
		addr.Flags = unix.IFA_F_NODAD
		must(t, netlink.AddrAdd(link, addr))
	})
}

// Commands, attributes and flags of the generic netlink family mptcp_pm,
// include/uapi/linux/mptcp_pm.h.
const (
	pmAddAddr, pmSetLimits                      = 1, 5
	pmAttrAddr                                  = 1
	pmAttrRcvAddAddrs, pmAttrSubflows           = 2, 3
	pmAddrFamily, pmAddr4, pmAddr6, pmAddrFlags = 1, 3, 4, 6
	endpointSignal, endpointSubflow             = 1, 2
)

// endpoint registers an address with the in-kernel path manager.
func (ns namespace) endpoint(t testing.TB, addr string, flags uint32) {
	t.Helper()
	ip := netip.MustParseAddr(addr)
	family, attr := uint16(unix.AF_INET), uint16(pmAddr4)
	if ip.Is6() {
		family, attr = unix.AF_INET6, pmAddr6
	}
	ns.pathManager(t, pmAddAddr, func(ae *mdnetlink.AttributeEncoder) {
		ae.Nested(pmAttrAddr, func(nae *mdnetlink.AttributeEncoder) error {
			nae.Uint16(pmAddrFamily, family)
			nae.Bytes(attr, ip.AsSlice())
			nae.Uint32(pmAddrFlags, flags)
			return nil
		})
	})
}

// limits lets the in-kernel path manager make subflows and accept addresses.
func (ns namespace) limits(t testing.TB, n uint32) {
	t.Helper()
	ns.pathManager(t, pmSetLimits, func(ae *mdnetlink.AttributeEncoder) {
		ae.Uint32(pmAttrRcvAddAddrs, n)
		ae.Uint32(pmAttrSubflows, n)
	})
}

func (ns namespace) pathManager(t testing.TB, command uint8, attrs func(*mdnetlink.AttributeEncoder)) {
	t.Helper()
	ns.do(t, func() {
		c, err := genetlink.Dial(nil)
		must(t, err)
		defer c.Close()
		family, err := c.GetFamily("mptcp_pm")
		must(t, err)
		ae := mdnetlink.NewAttributeEncoder()
		attrs(ae)
		data, err := ae.Encode()
		must(t, err)
		_, err = c.Execute(genetlink.Message{
			Header: genetlink.Header{Command: command, Version: family.Version},
			Data:   data,
		}, family.ID, mdnetlink.Request|mdnetlink.Acknowledge)
		must(t, err)
	})
}
