package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
}

// Listen announces on a local address. [::] accepts IPv4 and IPv6 peers, 0.0.0.0
// IPv4 peers only. A subflow joins where there is an MPTCP listener for its
// destination, of whatever family the initial subflow was: a listener on an IPv4
// address alone leaves the peer nothing to join over IPv6.
//
// Errors are *net.OpError with Net "mptcp"; errors.Is tells ErrInvalid,
// and when Strict: ErrNotSupported, ErrDisabled and ErrDenied.
func (lc *ListenConfig) Listen(ctx context.Context, on netip.AddrPort) (*Listener, error) {
	if lc.Disable && lc.Strict {
		return nil, listenError(on, fmt.Errorf("%w: Multipath TCP is both disabled and demanded (Strict)", ErrInvalid))
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
	return &Listener{tcp: l.(*net.TCPListener), local: reason}, nil
}

func listenError(on netip.AddrPort, err error) error {
	return &net.OpError{Op: "listen", Net: "mptcp", Addr: net.TCPAddrFromAddrPort(on), Err: reasonOfOp(err)}
}

// A Listener accepts Multipath TCP connections, and plain ones.
type Listener struct {
	tcp   *net.TCPListener
	local FallbackReason
}

// Accept waits for the next connection. After Close it fails with
// net.ErrClosed; IsTemporary tells which other errors pass.
func (l *Listener) Accept() (*Conn, error) {
	c, err := l.tcp.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: c, local: l.local, accepted: true}, nil
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
