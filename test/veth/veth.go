// Package veth gives tests bare network namespaces that veth pairs join: for tests
// of sockets, which need addresses and no programs. Hosts with programs, routers
// and slow links are package test/netns's.
//
//	client, server := veth.New(t), veth.New(t)
//	veth.Connect(t, client, server, "link1")
//	client.AddAddr(t, "link1", "192.0.2.1/24")
//	server.Do(t, func() { … listen … })
//
// Each function fails the test when something goes wrong.
package veth

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/mdlayher/genetlink"
	mdnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// DropCapabilities takes all capabilities from the calling thread.
func DropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// A Namespace is a network namespace of a test. Sockets stay where they were
// opened, so only opening them needs do.
type Namespace struct{ Handle netns.NsHandle }

// New makes a network namespace with lo up, or skips where that is not
// permitted.
func New(t testing.TB) Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	var ns Namespace
	OnThread(t, func() {
		var err error
		ns.Handle, err = netns.New()
		if errors.Is(err, syscall.EPERM) {
			t.Skip("root without CAP_SYS_ADMIN cannot make a network namespace")
		}
		must(t, err)
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
	})
	t.Cleanup(func() { _ = ns.Handle.Close() })
	return ns
}

// Do runs f on a thread in the namespace.
func (ns Namespace) Do(t testing.TB, f func()) {
	t.Helper()
	OnThread(t, func() {
		must(t, netns.Set(ns.Handle))
		f()
	})
}

// OnThread runs f on a locked thread, which goes back to the namespace it was
// in; if that fails, the thread ends with the test.
func OnThread(t testing.TB, f func()) {
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
func Sysctl(t testing.TB, name, value string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/"+name, []byte(value), 0))
}

// Connect lays a veth pair between two namespaces, slow enough for what the
// kernel gets right: at several Gbit/s Linux 6.18 now and then resets a subflow that has
// just joined a connection under load (docs/kernel.md).
func Connect(t testing.TB, a, b Namespace, name string) {
	t.Helper()
	a.Do(t, func() {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: name},
			PeerName:      name,
			PeerNamespace: netlink.NsFd(b.Handle),
		}
		must(t, netlink.LinkAdd(veth))
	})
	for _, ns := range []Namespace{a, b} {
		ns.Do(t, func() {
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

// AddAddr gives an interface an address, usable at once.
func (ns Namespace) AddAddr(t testing.TB, iface, cidr string) {
	t.Helper()
	ns.Do(t, func() {
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
	Signal, Subflow                             = 1, 2
)

// Endpoint registers an address with the in-kernel path manager.
func (ns Namespace) Endpoint(t testing.TB, addr string, flags uint32) {
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

// Limits lets the in-kernel path manager make subflows and accept addresses.
func (ns Namespace) Limits(t testing.TB, n uint32) {
	t.Helper()
	ns.pathManager(t, pmSetLimits, func(ae *mdnetlink.AttributeEncoder) {
		ae.Uint32(pmAttrRcvAddAddrs, n)
		ae.Uint32(pmAttrSubflows, n)
	})
}

func (ns Namespace) pathManager(t testing.TB, command uint8, attrs func(*mdnetlink.AttributeEncoder)) {
	t.Helper()
	ns.Do(t, func() {
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
