package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/internal/hostaddr"
)

// A Dialer opens Multipath TCP connections. The zero value is lenient and lets
// the kernel choose the source. Its methods may be called from several
// goroutines at once.
type Dialer struct {
	// LocalAddr is the source address of the initial subflow; when invalid,
	// the kernel chooses.
	LocalAddr netip.Addr
	// Interface is the name of the network interface that the initial
	// subflow is bound to (SO_BINDTODEVICE); when empty, routing decides. A
	// subflow that leaves over one path whatever the routing rules say is
	// bound to both, address and interface.
	Interface string
	// Sources, if there are any, stand in for LocalAddr and Interface: the
	// initial subflow begins at the first one that leads to the peer. They are
	// tried in their order, as Race does.
	Sources []Source
	// Disable does without Multipath TCP (TCP_MULTIPATH_ENABLE false).
	Disable bool
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
	// Control, if not nil, is called with each MPTCP socket before it is bound
	// and connected. Its error ends the attempt. Plain TCP sockets are not
	// passed to it.
	Control func(fd int) error
	// Resolver finds the addresses of names for DialHost; nil is
	// net.DefaultResolver.
	Resolver *net.Resolver
}

// A Source is where an initial subflow can begin.
type Source struct {
	// Addr is the address and port to bind. Port 0 lets the kernel choose the
	// port, an invalid address the address as well.
	Addr netip.AddrPort
	// Interface is the name of the interface to bind to; empty: routing decides.
	// It does not count towards an address of this host: the kernel reaches that
	// over lo, and a socket that is bound to another interface gets no answer.
	Interface string
	// Delay is how long the source before this one is given alone; 0 stands for
	// DefaultRaceDelay.
	Delay time.Duration
}

// Dial connects to an address, until ctx ends. To an IPv4 address it uses a
// dual-stack socket where the host has IPv6, so that subflows of either family
// can join: the kernel lets an AF_INET connection have IPv4 subflows only
// (mptcp_pm_addr_families_match, net/mptcp/pm.c).
//
// Errors are *net.OpError with Net "mptcp". errors.Is tells ECONNREFUSED,
// ENETUNREACH and the like, context.Canceled and context.DeadlineExceeded,
// ErrAddressFamily and ErrInvalid, and when Strict: ErrNotMultipath after a
// handshake without MPTCP, and ErrNotSupported, ErrDisabled or ErrDenied where
// there are no MPTCP sockets. A connect that fails is not tried again as plain
// TCP.
func (d *Dialer) Dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	if err := d.check(to); err != nil {
		return nil, d.opError(to, err)
	}
	c, err := d.dialAny(ctx, []netip.AddrPort{to})
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

// DialHost connects to a host by its name, or by an address, and a port:
// "example.net:443" (RFC 6897 REQ5). All its addresses are raced, IPv6 and IPv4
// in turn (RFC 8305), from each source. Otherwise it is as Dial; a name that has
// no address gives a *net.DNSError.
func (d *Dialer) DialHost(ctx context.Context, address string) (*Conn, error) {
	to, err := d.lookup(ctx, address)
	if err == nil {
		var c *Conn
		if c, err = d.dialAny(ctx, to); err == nil {
			return c, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "mptcp", Addr: hostAddr(address), Err: reasonOfOp(err)}
}

// way is one attempt to connect.
type way struct {
	Source
	to netip.AddrPort
}

// maxWays bounds a race: a name with ten addresses over three paths.
const maxWays = 30

// ways are the sources combined with the destinations of their family, the
// preferred ones first: each source tries all destinations before the next one
// does.
func (d *Dialer) ways(to []netip.AddrPort) (all []way) {
	sources := d.Sources
	if len(sources) == 0 {
		sources = []Source{{Addr: netip.AddrPortFrom(d.LocalAddr, 0), Interface: d.Interface}}
	}
	for _, s := range sources {
		for _, t := range to {
			a := s.Addr.Addr()
			if a.IsValid() && a.Unmap().Is4() != t.Addr().Unmap().Is4() {
				continue
			}
			w := way{s, t}
			if len(d.Sources) > 0 && s.Interface != "" && hostaddr.IsOwn(t.Addr()) {
				w.Interface = ""
			}
			all = append(all, w)
		}
	}
	return all[:min(len(all), maxWays)]
}

// dialAny connects to one of several addresses of a peer. The error is that of
// the preferred way that failed, or ctx's.
func (d *Dialer) dialAny(ctx context.Context, to []netip.AddrPort) (*Conn, error) {
	if d.Disable && d.Strict {
		return nil, fmt.Errorf("%w: Multipath TCP is both disabled and demanded (Strict)", ErrInvalid)
	}
	ways := d.ways(to)
	switch len(ways) {
	case 0:
		return nil, fmt.Errorf("%w: no source address has the family of %v", ErrAddressFamily, to)
	case 1:
		return d.try(ctx, ways[0])
	}
	c, won, errs := Race(ctx, len(ways),
		func(i int) time.Duration { return ways[i].Delay },
		func(ctx context.Context, i int) (*Conn, error) { return d.try(ctx, ways[i]) })
	if won >= 0 {
		return c, nil
	}
	for _, err := range errs {
		if !errors.Is(err, ErrNotTried) && !errors.Is(err, ErrNoAnswer) {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// try connects one way. When Strict, only Multipath TCP is a success.
func (d *Dialer) try(ctx context.Context, w way) (*Conn, error) {
	c, err := d.dialMapped(ctx, w)
	if err == nil && d.Strict {
		err = c.mustBeMultipath()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialMapped connects with a dual-stack socket. To an IPv4 address it tries an
// AF_INET one next, where the host has no IPv6, or no MPTCP over it (CONFIG_IPV6
// built as a module), before it takes plain TCP.
func (d *Dialer) dialMapped(ctx context.Context, w way) (*Conn, error) {
	to := w.to
	is4 := to.Addr().Unmap().Is4()
	w.to = mapped(to)
	c, err := d.dial(ctx, "tcp6", w, d.Strict || is4 && !d.Disable)
	if is4 && (unavailable(err) || errors.Is(err, unix.EAFNOSUPPORT)) {
		w.to = unmapPort(to)
		return d.dial(ctx, "tcp4", w, d.Strict)
	}
	return c, err
}

// dial connects with a socket of one network, "tcp4" or "tcp6".
func (d *Dialer) dial(ctx context.Context, network string, w way, strict bool) (*Conn, error) {
	o := sockopts{
		family:        familyOf(network),
		iface:         w.Interface,
		receiveBuffer: d.ReceiveBuffer,
		keepAlive:     d.KeepAlive,
		strict:        strict,
		plain:         d.Disable,
		bindNoPort:    w.Addr.Port() == 0, // DialTCP binds in any case
		born:          d.Control,
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
	c, err := nd.DialTCP(ctx, network, sourceFor(network, w.Addr), w.to)
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: c, local: reason}, nil
}

// sourceFor returns the address to bind in the form that network takes.
func sourceFor(network string, source netip.AddrPort) netip.AddrPort {
	switch {
	case !source.IsValid():
		return netip.AddrPort{}
	case network == "tcp4":
		return unmapPort(source)
	}
	return mapped(source)
}

// mapped turns an IPv4 address into an IPv4-mapped IPv6 address.
func mapped(a netip.AddrPort) netip.AddrPort {
	if !a.Addr().Is4() {
		return a
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// unmapPort turns an IPv4-mapped IPv6 address into an IPv4 address.
func unmapPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// opError gives err the addresses that the caller knows, instead of the mapped
// ones of the socket.
func (d *Dialer) opError(to netip.AddrPort, err error) error {
	err = reasonOfOp(err)
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

// reasonOfOp takes the layer of package net off an error.
func reasonOfOp(err error) error {
	if inner, ok := errors.AsType[*net.OpError](err); ok {
		return inner.Err
	}
	return err
}
