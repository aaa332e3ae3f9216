package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
)

// AddAddrs is TCP_MULTIPATH_ADD during a connection (RFC 6897 section 5.3.3): it
// lets the connection use further local addresses, IPv4 and IPv6 in one call. A
// client opens a subflow from each, to the peer's address of the same family, and
// waits for the outcome; a port is the one to bind. A server announces each to
// the peer (ADD_ADDR), which decides for itself; where a port is given, the
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
	op.ctl.mu.Lock()
	server := op.rec.server
	inUse := op.rec.uses(a.Addr())
	if !slices.Contains(op.rec.allowed, a) {
		op.rec.allowed = append(op.rec.allowed, a)
	}
	op.ctl.mu.Unlock()
	switch {
	case op.steered():
		return op.restrict(ctx)
	case server:
		return op.announce(ctx, a)
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
func (r *record) uses(a netip.Addr) bool {
	for p := range r.subs {
		if p.Local.Addr() == a {
			return true
		}
	}
	return false
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
	op.ctl.mu.Lock()
	id, ok := op.rec.addrID(a.Addr())
	op.ctl.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: the connection has used too many local addresses", ErrInvalid)
	}
	err := op.ctl.cmds.Announce(ctx, op.rec.token, mptcppm.Endpoint{ID: id, Addr: a.Addr(), Port: a.Port()})
	if err != nil {
		return fmt.Errorf("%v: %w", a, op.createError(err))
	}
	op.ctl.mu.Lock()
	op.rec.told[a.Addr()] = true
	op.ctl.mu.Unlock()
	return nil
}

// RemoveAddrs is TCP_MULTIPATH_REMOVE during a connection (RFC 6897 section
// 5.3.3): the connection stops using local addresses. Where no other subflow
// would be left, it opens one first from another address that it may use, or
// waits, on a server that has announced one, for the peer to join it. Then the
// peer is told (RM_ADDR), and the subflows from the addresses are closed; what
// was under way on them is sent again on the others. When there is no alternative
// nothing happens, and the error is ErrLastSubflow. ErrUnknownAddress is that of
// an address which is not in use.
func (c *Conn) RemoveAddrs(ctx context.Context, addrs ...netip.AddrPort) error {
	op, err := c.begin("remove local addresses", fmt.Sprint(addrs))
	if err != nil {
		return err
	}
	gone := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		if err := checkLocal(a.Addr()); err != nil {
			return op.fail(err)
		}
		gone[a.Addr().Unmap()] = true
	}
	return op.fail(op.remove(ctx, gone))
}

func (op operation) remove(ctx context.Context, gone map[netip.Addr]bool) error {
	if err := op.known(gone); err != nil {
		return err
	}
	subflows, err := op.conn.Subflows()
	if err != nil {
		return err
	}
	leaves := func(s Subflow) bool { return gone[s.Local.Addr()] }
	if !othersEstablished(subflows, leaves) {
		if err := op.alternative(ctx, gone); err != nil {
			return err
		}
	}
	op.forbid(gone)
	if op.steered() {
		if err := op.restrict(ctx); err != nil && !errors.Is(err, ErrUnknownAddress) {
			return err
		}
	}
	return op.leave(ctx, gone)
}

// known checks that the connection uses, announces or may use each address.
func (op operation) known(addrs map[netip.Addr]bool) error {
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	for a := range addrs {
		listed := slices.ContainsFunc(op.rec.allowed, func(b netip.AddrPort) bool { return b.Addr() == a })
		if !listed && !op.rec.told[a] && !op.rec.uses(a) {
			return fmt.Errorf("%w: %v", ErrUnknownAddress, a)
		}
	}
	return nil
}

// alternative makes a subflow that does not use these addresses.
func (op operation) alternative(ctx context.Context, gone map[netip.Addr]bool) error {
	op.ctl.mu.Lock()
	server := op.rec.server
	var candidates []netip.AddrPort
	for _, a := range op.rec.allowed {
		if !gone[a.Addr()] {
			candidates = append(candidates, a)
		}
	}
	waiting := false // for the peer to join an address that it was told
	for a := range op.rec.told {
		waiting = waiting || !gone[a]
	}
	restricted := len(op.rec.allowed) > 0
	op.ctl.mu.Unlock()
	if server {
		if !waiting {
			return ErrLastSubflow
		}
		return op.await(ctx, func() (bool, error) {
			for p := range op.rec.subs {
				if !gone[p.Local.Addr()] {
					return true, nil
				}
			}
			return false, nil
		})
	}
	if !restricted {
		candidates = op.ctl.pathAddrs(gone)
	}
	errs := []error{ErrLastSubflow}
	for _, a := range candidates {
		_, err := op.open(ctx, a, netip.AddrPort{}, Normal)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from %v: %w", a, err))
	}
	return errors.Join(errs...)
}

// pathAddrs are the addresses of the paths that are up, best first.
func (ctl *Controller) pathAddrs(but map[netip.Addr]bool) (addrs []netip.AddrPort) {
	for _, p := range ctl.app.Paths() {
		for _, a := range p.Addrs {
			if !but[a.Addr] {
				addrs = append(addrs, netip.AddrPortFrom(a.Addr, 0))
			}
		}
	}
	return addrs
}

// forbid takes addresses off the list.
func (op operation) forbid(gone map[netip.Addr]bool) {
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	op.rec.allowed = slices.DeleteFunc(op.rec.allowed, func(a netip.AddrPort) bool { return gone[a.Addr()] })
	for a := range gone {
		delete(op.rec.told, a)
	}
}

// leave closes the subflows and tells the peer. The kernel sends RM_ADDR on the
// first subflow in its list, so the initial one, with address id 0, is closed
// before: its option would go down with it. Any other id is forgotten by the
// kernel with its last subflow, and has to be taken back first.
func (op operation) leave(ctx context.Context, gone map[netip.Addr]bool) error {
	leaves := func(s Subflow) bool { return gone[s.Local.Addr()] }
	op.retire(ctx, leaves)
	ids := op.addrIDs(gone)
	for id := range ids {
		if id == 0 {
			continue
		}
		if err := op.tellRemoved(ctx, id); err != nil {
			return err
		}
	}
	err := op.closeThose(ctx, leaves)
	if ids[0] {
		err = errors.Join(err, op.tellRemoved(ctx, 0))
	}
	return err
}

// tellRemoved sends RM_ADDR for an address id.
func (op operation) tellRemoved(ctx context.Context, id uapi.AddrID) error {
	err := op.ctl.cmds.Remove(ctx, op.rec.token, id)
	if errors.Is(err, mptcppm.ErrNotFound) {
		return nil
	}
	return err
}

func (op operation) closeThose(ctx context.Context, leaves func(Subflow) bool) error {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range subflows {
		if !leaves(s) || s.TCP.State.Closing() {
			continue
		}
		if err := op.destroy(ctx, Pair{s.Local, s.Remote}); err != nil && !errors.Is(err, mptcppm.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// addrIDs are the MPTCP address ids that the peer knows the addresses by: 0 is
// that of the initial subflow.
func (op operation) addrIDs(addrs map[netip.Addr]bool) map[uapi.AddrID]bool {
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	ids := make(map[uapi.AddrID]bool)
	for a, id := range op.rec.ids {
		if addrs[a] {
			ids[id] = true
		}
	}
	if addrs[op.rec.first.Local.Addr()] {
		ids[0] = true
	}
	return ids
}
