package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath"
)

// A Dialer opens Multipath TCP connections. The zero value is lenient and lets
// the kernel choose the source. Methods may be called from several goroutines
// at once, but for AddAddrs and RemoveAddrs.
type Dialer struct {
	// LocalAddr is the source address of the initial subflow; when invalid,
	// the kernel chooses, or LocalAddrs say it.
	LocalAddr netip.Addr
	// LocalAddrs are the local addresses that the connection may use, with
	// the port to bind or 0 (TCP_MULTIPATH_ADD of RFC 6897 before the
	// connection). It begins on the first one that leads to the peer; the
	// Controller, which more than one address needs, opens a subflow on each
	// of the others, or leaves that to the mode. With a Controller no other
	// address is used, and neither is one beside LocalAddr or Interface.
	LocalAddrs []netip.AddrPort
	// Interface is the name of the network interface that the initial
	// subflow is bound to (SO_BINDTODEVICE); when empty, routing decides.
	Interface string
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

	// Controller makes the subflows of the connections; what changes them
	// needs one.
	Controller *Controller
	// Service, Profile and Hints say what the application wants, from the
	// most exact to the least; the first that is set chooses the mode.
	// Steering comes before them: any mode, with its numbers and paths.
	// All of them need a Controller, which starts the connection on the best
	// path that answers.
	Service  ServiceType
	Profile  Profile
	Hints    Hints
	Steering Steering
	// SubOptions are socket options that the connection's subflows have from
	// their first packet on, the initial one included, whichever end opens
	// them. They need a Controller, and the privileges of SubSetsockopt.
	SubOptions []SubOption
	// FateSharing closes the connection when its initial subflow ends (RFC
	// 6897 REQ13). It needs a Controller.
	FateSharing bool

	// Resolver finds the addresses of names for DialHost; nil is
	// net.DefaultResolver.
	Resolver *net.Resolver
}

// Dial connects to an address, until ctx ends. To an IPv4 address it uses a
// dual-stack socket where the host has IPv6, so that subflows of either family
// can join: the kernel lets an AF_INET connection have IPv4 subflows only
// (mptcp_pm_addr_families_match, net/mptcp/pm.c).
//
// Errors are *net.OpError with Net "mptcp". errors.Is tells ECONNREFUSED,
// ENETUNREACH and the like, context.Canceled and context.DeadlineExceeded, and
// when Strict: ErrNotMultipath after a handshake without MPTCP, and
// ErrNotSupported, ErrDisabled or ErrDenied where there are no MPTCP sockets;
// ErrNoController when a field needs one. A connect that fails is not tried
// again as plain TCP.
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

// disabled reports whether plain TCP was asked for.
func (d *Dialer) disabled() bool { return d.Disable || d.Service == ServiceNone }

// checkWishes refuses fields that contradict each other or need what is not
// there.
func (d *Dialer) checkWishes(st Steering) error {
	switch {
	case int(d.Service) >= len(services):
		return fmt.Errorf("%w: %v", ErrInvalid, d.Service)
	case int(d.Profile) >= len(profiles):
		return fmt.Errorf("%w: %v", ErrInvalid, d.Profile)
	case d.disabled() && d.Strict:
		return fmt.Errorf("%w: Multipath TCP is both disabled and demanded (Strict)", ErrInvalid)
	case d.disabled():
		return nil
	case d.Controller == nil && (!st.manual() || d.FateSharing || len(d.SubOptions) > 0 || len(d.LocalAddrs) > 1):
		return ErrNoController
	}
	return st.validate()
}

// dialAny connects to one of several addresses of a peer and hands the
// connection to the Controller.
func (d *Dialer) dialAny(ctx context.Context, to []netip.AddrPort) (*Conn, error) {
	st := d.steering()
	if err := d.checkWishes(st); err != nil {
		return nil, err
	}
	ways := attempts(d.sources(!st.manual() && !d.disabled()), to)
	if len(ways) == 0 {
		return nil, fmt.Errorf("%w: no source address has the family of %v", ErrAddressFamily, to)
	}
	c, err := d.race(ctx, ways, d.Strict)
	if err != nil {
		return nil, err
	}
	if d.Strict {
		if err := c.mustBeMultipath(); err != nil {
			return nil, err
		}
	}
	if c.rules != nil {
		if err := c.rules.outcome(); err != nil {
			return nil, errors.Join(translate(err), c.Close())
		}
	}
	if err := d.handOver(c, st); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// handOver attaches a new connection to the Controller. One that fell back has
// no use for it.
func (d *Dialer) handOver(c *Conn, st Steering) error {
	if d.Controller == nil {
		return nil
	}
	if multipath, err := c.IsMultipath(); err != nil || !multipath {
		return err
	}
	allowed := slices.Clone(d.LocalAddrs)
	if d.LocalAddr.IsValid() {
		allowed = append([]netip.AddrPort{netip.AddrPortFrom(d.LocalAddr.Unmap(), 0)}, allowed...)
	}
	if len(st.Paths) == 0 && !st.manual() {
		st.Paths = d.allowedPaths(allowed)
	}
	return d.Controller.attach(c, birth{Steering: st, allowed: allowed, fate: d.FateSharing})
}

// allowedPaths names the paths that the fields restrict the connection to; none
// for no restriction.
func (d *Dialer) allowedPaths(allowed []netip.AddrPort) []string {
	if d.Interface != "" {
		for _, p := range d.Controller.Paths() {
			if p.Interface == d.Interface {
				return []string{p.Name}
			}
		}
	}
	if len(allowed) == 0 {
		return nil
	}
	return d.Controller.pathsOf(func(a netpath.Addr) bool {
		return slices.ContainsFunc(allowed, func(b netip.AddrPort) bool { return a.Addr == b.Addr().Unmap() })
	})
}

// dialMapped connects with a dual-stack socket. To an IPv4 address it tries an
// AF_INET one next, where the host has no IPv6, or no MPTCP over it (CONFIG_IPV6
// built as a module), before it takes plain TCP.
func (d *Dialer) dialMapped(ctx context.Context, way attempt, strict bool) (*Conn, error) {
	to := way.to
	is4 := to.Addr().Unmap().Is4()
	way.to = mapped(to)
	c, err := d.dial(ctx, "tcp6", way, strict || is4 && !d.disabled())
	if is4 && (unavailable(err) || errors.Is(err, unix.EAFNOSUPPORT)) {
		way.to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
		return d.dial(ctx, "tcp4", way, strict)
	}
	return c, err
}

// dial connects with a socket of one network, "tcp4" or "tcp6".
func (d *Dialer) dial(ctx context.Context, network string, way attempt, strict bool) (*Conn, error) {
	o := sockopts{
		family:        familyOf(network),
		iface:         way.iface,
		receiveBuffer: d.ReceiveBuffer,
		keepAlive:     d.KeepAlive,
		strict:        strict,
		plain:         d.disabled(),
		bindNoPort:    way.source.Port() == 0, // DialTCP binds in any case
	}
	rules, err := d.rules(&o)
	if err != nil {
		return nil, err
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
	c, err := nd.DialTCP(ctx, network, sourceFor(network, way.source), way.to)
	if err != nil {
		return nil, errors.Join(err, rules.remove())
	}
	return &Conn{TCPConn: c, local: reason, rules: rules}, nil
}

// rules has SubOptions put into force for the socket that o makes.
func (d *Dialer) rules(o *sockopts) (*subRules, error) {
	if len(d.SubOptions) == 0 || o.plain {
		return nil, nil
	}
	s, err := d.Controller.setter.get()
	if err != nil {
		return nil, translate(err)
	}
	r := &subRules{}
	o.born = func(fd int) error {
		cookie, err := cookieOf(fd)
		if err != nil {
			return err
		}
		return translate(r.add(s, cookie, d.SubOptions))
	}
	return r, nil
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
