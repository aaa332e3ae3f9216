package mptcpsock

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// A Conn is a connection of a Dialer or Listener: Multipath TCP, or plain TCP
// after a fall-back. The methods of *net.TCPConn work on it; all methods may be
// called from several goroutines at once. The methods that ask the kernel fail
// with net.ErrClosed after Close.
type Conn struct {
	*net.TCPConn
	local    FallbackReason // why there was no MPTCP socket; FallbackNone if there was one
	accepted bool
	numbers  numbering
}

// Accepted reports whether a Listener accepted the connection; a Dialer opened it
// otherwise.
func (c *Conn) Accepted() bool { return c.accepted }

// IsMultipath reports whether the connection is Multipath TCP now. A connection
// can fall back to plain TCP in the handshake, and later as long as it has one
// subflow (RFC 8684 section 3.7); it never comes back.
func (c *Conn) IsMultipath() (bool, error) {
	if c.local != FallbackNone {
		return false, c.alive()
	}
	var err error
	cerr := c.control(func(fd int) {
		_, err = unix.GetsockoptInt(fd, uapi.SolMPTCP, uapi.OptInfo)
	})
	switch {
	case cerr != nil:
		return false, cerr
	case err == nil:
		return true, nil
	case noSuchOption(err):
		// The fall-back hands the option to TCP, which does not know it
		// (mptcp_getsockopt, net/mptcp/sockopt.c).
		return false, nil
	}
	return false, os.NewSyscallError("getsockopt", err)
}

// Fallback says why the connection is plain TCP; FallbackNone when it is not.
func (c *Conn) Fallback() (FallbackReason, error) {
	if c.local != FallbackNone {
		return c.local, c.alive()
	}
	multipath, err := c.IsMultipath()
	if err != nil || multipath {
		return FallbackNone, err
	}
	return FallbackPeer, nil
}

// mustBeMultipath closes a connection that is not multipath and says so.
func (c *Conn) mustBeMultipath() error {
	reason, err := c.Fallback()
	if err == nil && reason != FallbackNone {
		err = fmt.Errorf("%w: %v", ErrNotMultipath, reason)
	}
	if err != nil {
		c.Close()
	}
	return err
}

// Token returns the token of the connection, its name in the events and
// commands of the path manager. After a fall-back the error is ErrNotMultipath.
func (c *Conn) Token() (uapi.Token, error) {
	info, err := c.Info()
	return info.Token, err
}

// Info returns what the kernel knows of the connection as a whole (MPTCP_INFO).
// After a fall-back the error is ErrNotMultipath.
func (c *Conn) Info() (uapi.Info, error) {
	var b [uapi.InfoSize]byte
	n, err := c.getsockopt(uapi.SolMPTCP, uapi.OptInfo, b[:])
	if err != nil {
		return uapi.Info{}, err
	}
	info, err := uapi.DecodeInfo(b[:n])
	if err != nil {
		return uapi.Info{}, fmt.Errorf("mptcpsock: MPTCP_INFO: %w", err)
	}
	return info, nil
}

// Device returns the index of the interface that the initial subflow is bound to, 0
// when it is bound to none or that cannot be read.
func (c *Conn) Device() (index int) {
	_ = c.control(func(fd int) {
		if i, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); err == nil {
			index = i
		}
	})
	return index
}

// LocalAddrPort returns the local end of the initial subflow.
func (c *Conn) LocalAddrPort() netip.AddrPort { return unmapped(c.LocalAddr()) }

// RemoteAddrPort returns the remote end of the initial subflow.
func (c *Conn) RemoteAddrPort() netip.AddrPort { return unmapped(c.RemoteAddr()) }

// unmapped turns an address of package net into a netip one, an IPv4-mapped
// address into an IPv4 one.
func unmapped(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// control runs f on the descriptor, which stays open meanwhile.
func (c *Conn) control(f func(fd int)) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) { f(int(fd)) })
}

// alive returns net.ErrClosed, wrapped, when the connection is closed.
func (c *Conn) alive() error { return c.control(func(int) {}) }

// getsockopt fills b with a socket option and returns how much of it.
func (c *Conn) getsockopt(level, name int, b []byte) (n int, err error) {
	cerr := c.control(func(fd int) { n, err = getsockopt(fd, level, name, b) })
	switch {
	case cerr != nil:
		return 0, cerr
	case err == nil:
		return n, nil
	case level == uapi.SolMPTCP && noSuchOption(err):
		return 0, c.refused(err)
	}
	return 0, err
}

// refused says what it means that the kernel refuses an option at level
// SOL_MPTCP: it knows MPTCP_INFO, so it is the connection that is plain TCP, or
// it is the option that is too new.
func (c *Conn) refused(err error) error {
	multipath, merr := c.IsMultipath()
	switch {
	case merr != nil:
		return merr
	case !multipath:
		return ErrNotMultipath
	}
	return err
}
