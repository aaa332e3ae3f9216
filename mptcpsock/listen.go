package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A ListenConfig opens listeners for Multipath TCP. The zero value is lenient.
type ListenConfig struct {
	// Strict makes Listen fail where there are no MPTCP sockets. Peers that
	// speak plain TCP are accepted in any case: ask Conn.IsMultipath.
	Strict bool
	// ReceiveBuffer is the receive buffer of accepted connections in bytes,
	// as in Dialer.
	ReceiveBuffer int
	// KeepAlive is that of accepted connections, as in Dialer.
	KeepAlive time.Duration
	// Disable listens for plain TCP (TCP_MULTIPATH_ENABLE false).
	Disable bool
	// Controller makes the subflows of accepted connections; what changes
	// them needs one.
	Controller *Controller
	// LocalAddrs are further addresses of this host that peers are told
	// (ADD_ADDR), so that they can join there; with a port where the
	// application listens on another one. It needs a Controller.
	LocalAddrs []netip.AddrPort
	// Steering steers accepted connections; it needs a Controller. This end
	// knows no paths, so it opens no subflows, and Paths mean nothing: whatever
	// the mode, it closes a subflow on which its own sending fails while
	// another one works, and leaves the rest to the peer, as mpproxy-server
	// does.
	Steering Steering
}

// AddAddrs is TCP_MULTIPATH_ADD before the connection: it adds to LocalAddrs.
func (lc *ListenConfig) AddAddrs(addrs ...netip.AddrPort) error {
	return addAddrs(&lc.LocalAddrs, addrs)
}

// RemoveAddrs is TCP_MULTIPATH_REMOVE before the connection, as Dialer's.
func (lc *ListenConfig) RemoveAddrs(addrs ...netip.AddrPort) error {
	return removeAddrs(&lc.LocalAddrs, addrs)
}

// Listen announces on a local address. [::] accepts IPv4 and IPv6 peers, 0.0.0.0
// IPv4 peers only. A subflow joins where there is an MPTCP listener for its
// destination, of whatever family the initial subflow was: a listener on an IPv4
// address alone leaves the peer nothing to join over IPv6.
//
// Errors are *net.OpError with Net "mptcp"; errors.Is tells ErrNoController,
// ErrInvalid, and when Strict: ErrNotSupported, ErrDisabled and ErrDenied.
func (lc *ListenConfig) Listen(ctx context.Context, on netip.AddrPort) (*Listener, error) {
	if err := lc.check(); err != nil {
		return nil, listenError(on, err)
	}
	l, err := lc.listen(ctx, on)
	if errors.Is(err, unix.EAFNOSUPPORT) && on.Addr() == netip.IPv6Unspecified() {
		// A host without IPv6: all addresses there are IPv4 ones.
		l, err = lc.listen(ctx, netip.AddrPortFrom(netip.IPv4Unspecified(), on.Port()))
	}
	if err != nil {
		return nil, listenError(on, err)
	}
	return l, nil
}

// check refuses fields that contradict each other or need what is not there.
func (lc *ListenConfig) check() error {
	switch {
	case lc.Controller == nil && (len(lc.LocalAddrs) > 0 || !lc.Steering.manual()):
		return ErrNoController
	case lc.Disable && lc.Strict:
		return fmt.Errorf("%w: Multipath TCP is both disabled and demanded (Strict)", ErrInvalid)
	}
	return lc.Steering.validate()
}

// listen listens with a socket of the family of on.
func (lc *ListenConfig) listen(ctx context.Context, on netip.AddrPort) (*Listener, error) {
	network := "tcp6"
	if on.Addr().Unmap().Is4() {
		network = "tcp4"
		on = netip.AddrPortFrom(on.Addr().Unmap(), on.Port())
	}
	o := sockopts{
		family:        familyOf(network),
		receiveBuffer: lc.ReceiveBuffer,
		keepAlive:     lc.KeepAlive,
		strict:        lc.Strict,
		plain:         lc.Disable,
		listen:        true,
	}
	var reason FallbackReason
	nl := net.ListenConfig{
		KeepAlive: -1, // inherited from the listening socket
		Control: func(_, _ string, rc syscall.RawConn) (err error) {
			reason, err = o.controlled(rc)
			return err
		},
	}
	nl.SetMultipathTCP(false) // prepare does it, without a second try
	l, err := nl.Listen(ctx, network, on.String())
	if err != nil {
		return nil, err
	}
	return &Listener{
		tcp: l.(*net.TCPListener), local: reason, ctl: lc.Controller,
		born: birth{Steering: lc.Steering, allowed: slices.Clone(lc.LocalAddrs)},
	}, nil
}

func listenError(on netip.AddrPort, err error) error {
	var inner *net.OpError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &net.OpError{Op: "listen", Net: "mptcp", Addr: net.TCPAddrFromAddrPort(on), Err: err}
}

// A Listener accepts Multipath TCP connections, and plain ones.
type Listener struct {
	tcp   *net.TCPListener
	local FallbackReason
	ctl   *Controller
	born  birth
}

// Accept waits for the next connection. After Close it fails with
// net.ErrClosed; IsTemporary tells which other errors pass.
func (l *Listener) Accept() (*Conn, error) {
	c, err := l.tcp.AcceptTCP()
	if err != nil {
		return nil, err
	}
	conn := &Conn{TCPConn: c, local: l.local, accepted: true}
	if l.ctl != nil {
		l.handOver(conn)
	}
	return conn, nil
}

// handOver attaches a connection that was accepted. Where that fails, because
// the peer speaks plain TCP, is gone again, or the Controller is closed, the
// connection is without: its methods say so.
func (l *Listener) handOver(c *Conn) {
	if multipath, err := c.IsMultipath(); err == nil && multipath {
		_ = l.ctl.attach(c, l.born)
	}
}

// Close stops listening and ends a waiting Accept. Accepted connections stay;
// further subflows cannot join them without another listener on the port.
func (l *Listener) Close() error { return l.tcp.Close() }

// Addr returns the address listened on.
func (l *Listener) Addr() netip.AddrPort {
	return unmapped(l.tcp.Addr())
}

// SetDeadline bounds the wait of Accept; the zero time removes the bound.
func (l *Listener) SetDeadline(t time.Time) error { return l.tcp.SetDeadline(t) }

// Fallback says why the listener accepts plain TCP only, or FallbackNone.
func (l *Listener) Fallback() FallbackReason { return l.local }
