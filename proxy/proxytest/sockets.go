package proxytest

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// BoundOnly binds a port of addr without listening: connects are refused, and
// nobody else gets it.
func BoundOnly(t testing.TB, addr string) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	Must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4()}))
	return localOf(t, fd)
}

// DeadPort returns an address that answers no SYN any more: a listener whose
// backlog is full.
func DeadPort(t testing.TB, addr string) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	Must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4()}))
	Must(t, unix.Listen(fd, 0))
	at := localOf(t, fd)
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(t.Context(), "tcp", at.String()) // backlog 0 holds one
	Must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return at
}

func localOf(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	Must(t, err)
	in := sa.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
}
