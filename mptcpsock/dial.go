package mptcpsock

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Dialer opens Multipath TCP connections. The zero value is lenient and lets
// the kernel choose the source. Methods may be called from several goroutines
// at once.
type Dialer struct {
	// LocalAddr is the source address of the initial subflow; when invalid,
	// the kernel chooses.
	LocalAddr netip.Addr
	// Interface is the name of the network interface that the initial
	// subflow is bound to (SO_BINDTODEVICE); when empty, routing decides.
	Interface string
	// Strict makes Dial fail rather than return a plain TCP connection.
	Strict bool
	// ReceiveBuffer is the receive buffer in bytes, which bounds the data
	// that all subflows together have under way; 0 stands for
	// DefaultReceiveBuffer, a negative value for the kernel's autotuning.
	// Without CAP_NET_ADMIN net.core.rmem_max limits it; where that is
	// under 1 MiB, autotuning is left on.
	ReceiveBuffer int
	// KeepAlive is the idle time before keep-alive probes, in whole
	// seconds; 0 stands for DefaultKeepAlive, a negative value for none.
	KeepAlive time.Duration
}

// Dial connects to an address, until ctx ends. To an IPv4 address it uses a
// dual-stack socket where the host has IPv6, so that subflows of either family
// can join: the kernel lets an AF_INET connection have IPv4 subflows only
// (mptcp_pm_addr_families_match, net/mptcp/pm.c).
//
// Errors are *net.OpError with Net "mptcp". errors.Is tells ECONNREFUSED,
// ENETUNREACH and the like, context.Canceled and context.DeadlineExceeded, and
// when Strict: ErrNotMultipath after a handshake without MPTCP, and
// ErrNotSupported, ErrDisabled or ErrDenied where there are no MPTCP sockets.
// A connect that fails is not tried again as plain TCP.
func (d *Dialer) Dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	if err := d.check(to); err != nil {
		return nil, d.opError(to, err)
	}
	c, err := d.dialMapped(ctx, to)
	if err == nil && d.Strict {
		err = c.mustBeMultipath()
	}
	if err != nil {
		return nil, d.opError(to, err)
	}
	return c, nil
}

// check refuses what package net would take for something else, or the kernel
// with an errno that explains nothing.
func (d *Dialer) check(to netip.AddrPort) error {
	switch {
	case !to.IsValid():
		return &net.AddrError{Err: "missing address"}
	case d.LocalAddr.IsValid() && d.LocalAddr.Unmap().Is4() != to.Addr().Unmap().Is4():
		return &net.AddrError{Err: "source address of another family than the destination", Addr: d.LocalAddr.String()}
	}
	return nil
}

// dialMapped connects with a dual-stack socket. To an IPv4 address it tries an
// AF_INET one next, where the host has no IPv6, or no MPTCP over it (CONFIG_IPV6
// built as a module), before it takes plain TCP.
func (d *Dialer) dialMapped(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	is4 := to.Addr().Unmap().Is4()
	c, err := d.dial(ctx, "tcp6", mapped(to), d.Strict || is4)
	if is4 && (unavailable(err) || errors.Is(err, unix.EAFNOSUPPORT)) {
		return d.dial(ctx, "tcp4", netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), d.Strict)
	}
	return c, err
}

// dial connects with a socket of one network, "tcp4" or "tcp6".
func (d *Dialer) dial(ctx context.Context, network string, to netip.AddrPort, strict bool) (*Conn, error) {
	o := sockopts{
		family:        familyOf(network),
		iface:         d.Interface,
		receiveBuffer: d.ReceiveBuffer,
		keepAlive:     d.KeepAlive,
		strict:        strict,
		bindNoPort:    true, // DialTCP binds in any case
	}
	var reason FallbackReason
	nd := net.Dialer{
		KeepAlive: -1, // prepare does it
		ControlContext: func(_ context.Context, _, _ string, rc syscall.RawConn) (err error) {
			reason, err = o.controlled(rc)
			return err
		},
	}
	nd.SetMultipathTCP(false) // prepare does it, without a second try
	c, err := nd.DialTCP(ctx, network, d.local(network), to)
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: c, local: reason}, nil
}

// local returns the address to bind in the form that network takes.
func (d *Dialer) local(network string) netip.AddrPort {
	switch {
	case !d.LocalAddr.IsValid():
		return netip.AddrPort{}
	case network == "tcp4":
		return netip.AddrPortFrom(d.LocalAddr.Unmap(), 0)
	}
	return mapped(netip.AddrPortFrom(d.LocalAddr, 0))
}

// mapped turns an IPv4 address into an IPv4-mapped IPv6 address.
func mapped(a netip.AddrPort) netip.AddrPort {
	if !a.Addr().Is4() {
		return a
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// opError gives err the addresses that the caller knows, instead of the mapped
// ones of the socket.
func (d *Dialer) opError(to netip.AddrPort, err error) error {
	var inner *net.OpError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The poller noticed the deadline of ctx before ctx did.
		err = context.DeadlineExceeded
	}
	e := &net.OpError{Op: "dial", Net: "mptcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	if d.LocalAddr.IsValid() {
		e.Source = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.LocalAddr, 0))
	}
	return e
}
