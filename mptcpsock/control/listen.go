package control

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock"
)

// A ListenConfig opens listeners for Multipath TCP. The zero value is that of
// mptcpsock.ListenConfig.
type ListenConfig struct {
	// Strict, ReceiveBuffer, KeepAlive and Disable are as in
	// mptcpsock.ListenConfig.
	Strict        bool
	ReceiveBuffer int
	KeepAlive     time.Duration
	Disable       bool
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

// Listen announces on a local address, as mptcpsock.ListenConfig does, and with
// its errors. errors.Is tells ErrNoController, too.
func (lc *ListenConfig) Listen(ctx context.Context, on netip.AddrPort) (*Listener, error) {
	if err := lc.check(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "mptcp", Addr: net.TCPAddrFromAddrPort(on), Err: err}
	}
	sock := mptcpsock.ListenConfig{Strict: lc.Strict, ReceiveBuffer: lc.ReceiveBuffer, KeepAlive: lc.KeepAlive, Disable: lc.Disable}
	l, err := sock.Listen(ctx, on)
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: l, ctl: lc.Controller, born: birth{Steering: lc.Steering, allowed: slices.Clone(lc.LocalAddrs)}}, nil
}

// check refuses fields that need what is not there.
func (lc *ListenConfig) check() error {
	if lc.Controller == nil && (len(lc.LocalAddrs) > 0 || !lc.Steering.manual()) {
		return ErrNoController
	}
	return lc.Steering.validate()
}

// A Listener accepts Multipath TCP connections, and plain ones.
type Listener struct {
	*mptcpsock.Listener
	ctl  *Controller
	born birth
}

// Accept waits for the next connection, as mptcpsock.Listener does, and attaches
// it to the Controller. Where that fails, because the peer speaks plain TCP, is
// gone again, or the Controller is closed, the connection is without: its methods
// say so.
func (l *Listener) Accept() (*Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: sock}
	if l.ctl != nil {
		if multipath, err := c.IsMultipath(); err == nil && multipath {
			_ = l.ctl.attach(c, l.born)
		}
	}
	return c, nil
}
