package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/pathctl/netpath"
)

// AddAddrs is TCP_MULTIPATH_ADD during a connection (RFC 6897 section 5.3.3): it
// lets the connection use further local addresses, IPv4 and IPv6 in one call. A
// client opens a subflow from each, to the peer's address of the same family, and
// waits for the outcome; a port is the one to bind. A server announces each to
// the peer (ADD_ADDR, RFC 8684 section 3.4.1), which decides for itself; where a port is given, the
// caller listens there. Under a service or mode it decides when to use the
// paths of these addresses.
//
// What works stays when another address fails; the error joins the failures,
// each as OpenSub gives it.
func (c *Conn) AddAddrs(ctx context.Context, addrs ...netip.AddrPort) error {
	op, err := c.begin("add local addresses", fmt.Sprint(addrs))
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range addrs {
		a = unmapPort(a)
		if err := checkLocal(a.Addr()); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, op.addAddr(ctx, a))
	}
	return op.fail(errors.Join(errs...))
}

func checkLocal(a netip.Addr) error {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("%w: %v is not a local address", ErrInvalid, a)
	}
	return nil
}

func (op operation) addAddr(ctx context.Context, a netip.AddrPort) error {
	inUse := op.uses(a.Addr())
	op.ctl.mu.Lock()
	if !slices.Contains(op.rec.allowed, a) {
		op.rec.allowed = append(op.rec.allowed, a)
	}
	op.ctl.mu.Unlock()
	switch {
	case op.conn.Accepted():
		return op.announce(ctx, a)
	case op.steered():
		return op.restrict(ctx)
	case inUse:
		return nil
	}
	_, err := op.open(ctx, a, netip.AddrPort{}, Normal)
	if err != nil {
		return fmt.Errorf("%v: %w", a, err)
	}
	return nil
}

func (op operation) steered() bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	return !op.steering.manual()
}

// uses reports whether an established subflow has a local address.
func (op operation) uses(a netip.Addr) bool {
	pairs, err := op.conn.Pairs()
	return err == nil && slices.ContainsFunc(pairs, func(p Pair) bool { return p.Local.Addr() == a })
}

// restrict gives a steered connection the paths of its allowed addresses.
func (op operation) restrict(ctx context.Context) error {
	op.ctl.mu.Lock()
	allowed := slices.Clone(op.rec.allowed)
	op.ctl.mu.Unlock()
	st := op.conn.Steering()
	st.Paths = op.ctl.pathsOf(func(a netpath.Addr) bool {
		return slices.ContainsFunc(allowed, func(b netip.AddrPort) bool { return a.Addr == b.Addr() })
	})
	if len(st.Paths) == 0 {
		return fmt.Errorf("%w: no path that is up has one of the addresses %v", ErrUnknownAddress, allowed)
	}
	return op.steer(ctx, st)
}

// announce tells the peer about a local address.
func (op operation) announce(ctx context.Context, a netip.AddrPort) error {
	if err := op.joinable(ctx); err != nil {
		return err
	}
	id, err := op.engine().Announce(ctx, a)
	if err != nil {
		return fmt.Errorf("%v: %w", a, op.createError(err))
	}
	op.ctl.mu.Lock()
	op.rec.told[a.Addr()] = id
	op.ctl.mu.Unlock()
	return nil
}

// spread uses the local addresses that a connection was given before it began, as
// soon as subflows can join: a client opens a subflow from each, a server announces
// each. Nobody waits for the outcome; Events tells it.
func (ctl *Controller) spread(a *attachment) {
	ctl.mu.Lock()
	var addrs []netip.AddrPort
	c := a.rec.conn
	if c != nil {
		addrs, a.rec.spread = a.rec.spread, nil
	}
	ctl.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	op := operation{attachment: a, conn: c, name: "use local addresses"}
	for _, l := range addrs {
		if op.uses(l.Addr()) {
			continue
		}
		var err error
		if c.Accepted() {
			err = op.announce(ctx, l)
		} else {
			err = op.start(ctx, l)
		}
		if err != nil {
			ctl.log.Warn("cannot use a local address", "address", l, "token", a.rec.token.String(), "error", err)
		}
	}
}

// start opens a subflow from a local address and does not wait.
func (op operation) start(ctx context.Context, l netip.AddrPort) error {
	local, remote, err := op.ends(l, netip.AddrPort{})
	if err != nil {
		return err
	}
	_, err = op.create(ctx, local, remote, Normal)
	return err
}

// AddAddrs is TCP_MULTIPATH_ADD before the connection: it adds to LocalAddrs.
func (d *Dialer) AddAddrs(addrs ...netip.AddrPort) error {
	return addAddrs(&d.LocalAddrs, addrs)
}

// RemoveAddrs is TCP_MULTIPATH_REMOVE before the connection: it takes addresses
// off LocalAddrs, whatever their port. ErrUnknownAddress says that one is not
// there; the others are removed.
func (d *Dialer) RemoveAddrs(addrs ...netip.AddrPort) error {
	return removeAddrs(&d.LocalAddrs, addrs)
}

// AddAddrs is TCP_MULTIPATH_ADD before the connection: it adds to LocalAddrs.
func (lc *ListenConfig) AddAddrs(addrs ...netip.AddrPort) error {
	return addAddrs(&lc.LocalAddrs, addrs)
}

// RemoveAddrs is TCP_MULTIPATH_REMOVE before the connection, as Dialer's.
func (lc *ListenConfig) RemoveAddrs(addrs ...netip.AddrPort) error {
	return removeAddrs(&lc.LocalAddrs, addrs)
}

func addAddrs(list *[]netip.AddrPort, addrs []netip.AddrPort) error {
	for _, a := range addrs {
		if err := checkLocal(a.Addr()); err != nil {
			return err
		}
	}
	for _, a := range addrs {
		if a = unmapPort(a); !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	return nil
}

func removeAddrs(list *[]netip.AddrPort, addrs []netip.AddrPort) error {
	var errs []error
	for _, a := range addrs {
		before := len(*list)
		*list = slices.DeleteFunc(*list, func(b netip.AddrPort) bool { return a.Addr().Unmap() == b.Addr() })
		if len(*list) == before {
			errs = append(errs, fmt.Errorf("%w: %v", ErrUnknownAddress, a.Addr()))
		}
	}
	return errors.Join(errs...)
}
