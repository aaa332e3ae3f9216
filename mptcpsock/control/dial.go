package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/pathctl/netpath"
)

// A Dialer opens Multipath TCP connections whose subflows a Controller makes.
// The zero value is that of mptcpsock.Dialer. Methods may be called from several
// goroutines at once, but for AddAddrs and RemoveAddrs.
type Dialer struct {
	// LocalAddr and Interface are as in mptcpsock.Dialer.
	LocalAddr netip.Addr
	Interface string
	// LocalAddrs are the local addresses that the connection may use, with
	// the port to bind or 0 (TCP_MULTIPATH_ADD of RFC 6897 before the
	// connection). It begins on the first one that leads to the peer; the
	// Controller, which more than one address needs, opens a subflow on each
	// of the others, or leaves that to the mode. With a Controller no other
	// address is used, and neither is one beside LocalAddr or Interface.
	LocalAddrs []netip.AddrPort
	// Disable, Strict, ReceiveBuffer, KeepAlive and Resolver are as in
	// mptcpsock.Dialer.
	Disable       bool
	Strict        bool
	ReceiveBuffer int
	KeepAlive     time.Duration
	Resolver      *net.Resolver

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
}

// Dial connects to an address, until ctx ends, and hands the connection to the
// Controller. Errors are those of mptcpsock.Dialer, and, also as *net.OpError,
// ErrNoController when a field needs one.
func (d *Dialer) Dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	return d.connect(func(sock *mptcpsock.Dialer) (*mptcpsock.Conn, error) { return sock.Dial(ctx, to) })
}

// DialHost connects to a host by its name, or by an address, and a port:
// "example.net:443" (RFC 6897 REQ5). Its addresses are raced, and so are the paths
// of a service. Otherwise it is as Dial; a name that has no address gives a
// *net.DNSError.
func (d *Dialer) DialHost(ctx context.Context, address string) (*Conn, error) {
	return d.connect(func(sock *mptcpsock.Dialer) (*mptcpsock.Conn, error) { return sock.DialHost(ctx, address) })
}

// connect has dial make the connection from the sources that the fields name, and
// hands it to the Controller.
func (d *Dialer) connect(dial func(*mptcpsock.Dialer) (*mptcpsock.Conn, error)) (*Conn, error) {
	st := d.steering()
	if err := d.checkWishes(st); err != nil {
		return nil, dialError(err)
	}
	begun, err := d.rules()
	if err != nil {
		return nil, dialError(err)
	}
	sock := mptcpsock.Dialer{
		LocalAddr: d.LocalAddr, Interface: d.Interface, Sources: d.sources(!st.manual() && !d.disabled()),
		Disable: d.disabled(), Strict: d.Strict, ReceiveBuffer: d.ReceiveBuffer, KeepAlive: d.KeepAlive,
		Control: begun.control(), Resolver: d.Resolver,
	}
	c, err := dial(&sock)
	if err != nil {
		return nil, errors.Join(err, begun.keep(nil))
	}
	conn := &Conn{Conn: c}
	if err = translate(begun.keep(conn)); err == nil {
		err = d.handOver(conn, st)
	}
	if err != nil {
		return nil, dialError(errors.Join(err, conn.Close()))
	}
	return conn, nil
}

func dialError(err error) error { return &net.OpError{Op: "dial", Net: "mptcp", Err: err} }

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
	case d.disabled():
		return nil
	case d.Controller == nil && (!st.manual() || d.FateSharing || len(d.SubOptions) > 0 || len(d.LocalAddrs) > 1):
		return ErrNoController
	}
	return st.validate()
}

// meteredDelay is how long the ways before a metered one are given alone: it is
// worth a longer wait to keep a metered path out.
const meteredDelay = time.Second

// sources are where the initial subflow may begin: what the fields say, else,
// for a steered connection, the paths, those in trouble last.
func (d *Dialer) sources(steered bool) (out []mptcpsock.Source) {
	if d.LocalAddr.IsValid() {
		return nil
	}
	for _, a := range d.LocalAddrs {
		out = append(out, mptcpsock.Source{Addr: a, Interface: d.Interface})
	}
	if len(out) > 0 || !steered || d.Interface != "" {
		return out
	}
	avoids := func(path string) bool {
		s := d.Controller.app.PathState(path)
		return s.Avoid(time.Now())
	}
	paths := slices.Clone(d.Controller.Paths())
	slices.SortStableFunc(paths, func(a, b netpath.Path) int {
		return later(avoids(a.Name)) - later(avoids(b.Name))
	})
	for _, p := range paths {
		if len(d.Steering.Paths) > 0 && !slices.Contains(d.Steering.Paths, p.Name) {
			continue
		}
		for _, a := range p.Addrs {
			s := mptcpsock.Source{Addr: netip.AddrPortFrom(a.Addr, 0), Interface: p.Interface}
			if p.Metered {
				s.Delay = meteredDelay
			}
			out = append(out, s)
		}
	}
	return out
}

func later(yes bool) int {
	if yes {
		return 1
	}
	return 0
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
