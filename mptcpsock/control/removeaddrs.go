package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
)

// RemoveAddrs is TCP_MULTIPATH_REMOVE during a connection (RFC 6897 section
// 5.3.3): the connection stops using local addresses. Where no other subflow
// would be left, it opens one first from another address that it may use, or
// waits, on a server that has announced one, for the peer to join it. Then the
// peer is told (RM_ADDR, RFC 8684 section 3.4.2), and the subflows from the
// addresses are closed; what was under way on them is sent again on the others.
// That takes four round trips at least, and 2 s at most besides what the
// alternative takes, since the others run dry before: docs/api.md says why. When
// there is no alternative nothing happens, and the error is ErrLastSubflow.
// ErrUnknownAddress is that of an address which is not in use; ErrInvalid,
// ErrNoController, ErrNotMultipath, net.ErrClosed and, when no alternative could
// be opened, the errors of OpenSub are told by errors.Is too.
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

func (op operation) remove(ctx context.Context, gone map[netip.Addr]bool) (err error) {
	if err := op.known(gone); err != nil {
		return err
	}
	if op.steered() {
		if err := op.register(ctx, Steering{}); err != nil { // the mode must not undo what follows
			return err
		}
		defer func() { err = errors.Join(err, op.steerAgain(ctx)) }()
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
	lowered := op.retire(ctx, leaves)
	return errors.Join(op.end(ctx, gone), op.raise(ctx, lowered))
}

// steerAgain gives the connection back to its mode, which may use the paths of the
// addresses that are left, also when the caller does not wait any longer.
func (op operation) steerAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOver)
	defer cancel()
	if !op.conn.Accepted() {
		if err := op.restrict(ctx); !errors.Is(err, ErrUnknownAddress) {
			return err
		}
	}
	return op.register(ctx, op.conn.Steering())
}

// known checks that the connection uses, announces or may use each address.
func (op operation) known(addrs map[netip.Addr]bool) error {
	for a := range addrs {
		op.ctl.mu.Lock()
		_, told := op.rec.told[a]
		listed := slices.ContainsFunc(op.rec.allowed, func(b netip.AddrPort) bool { return b.Addr() == a })
		op.ctl.mu.Unlock()
		if !listed && !told && !op.uses(a) {
			return fmt.Errorf("%w: %v", ErrUnknownAddress, a)
		}
	}
	return nil
}

// alternative makes a subflow that does not use these addresses.
func (op operation) alternative(ctx context.Context, gone map[netip.Addr]bool) error {
	op.ctl.mu.Lock()
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
	if op.conn.Accepted() {
		if !waiting {
			return ErrLastSubflow
		}
		return op.await(ctx, func() (bool, error) {
			stays := func(f engine.KnownSubflow) bool { return f.Established && !gone[f.Local.Addr()] }
			return slices.ContainsFunc(op.rec.table.Subflows, stays), nil
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
}

// end closes the subflows from addresses and tells the peer (RM_ADDR).
//
// The kernel forgets an address id other than 0 with the last subflow that has it,
// so the peer is told of such an id first. Id 0 is that of the initial subflow. The
// kernel sends RM_ADDR on the first subflow of its list, which is that one, and the
// option would be lost with it: the initial subflow is closed first.
//
// A subflow that brings data is the exception. When the peer's TCP is reset under
// it, the peer may send what is not acknowledged twice (mptcp_subflow_ctx_reset
// forgets that it is closed, net/mptcp/protocol.c, Linux 6.18), so RM_ADDR goes
// first. Data that comes on the other subflows then shows that it arrived.
func (op operation) end(ctx context.Context, gone map[netip.Addr]bool) error {
	leaves := func(s Subflow) bool { return gone[s.Local.Addr()] }
	ids := op.takeIDs(gone)
	before, err := op.conn.Subflows()
	if err != nil {
		return err
	}
	bringing := slices.ContainsFunc(before, func(s Subflow) bool {
		return leaves(s) && s.TCP.State == uapi.TCPEstablished && s.TCP.BytesReceived > 0 && s.TCP.LastDataReceived <= drainMin
	})
	for id := range ids {
		if id == 0 && !bringing {
			continue
		}
		if err := op.engine().Withdraw(ctx, id); err != nil {
			return err
		}
	}
	heard := bringing && op.awaitData(ctx, before, leaves)
	err = op.closeThose(ctx, leaves)
	if ids[0] && !heard {
		err = errors.Join(err, op.engine().Withdraw(ctx, 0))
	}
	return err
}

// awaitData waits until data comes on a subflow that stays: for drainRTTs round
// trips, and hearMin at least. The subflows that leave go on bringing data
// meanwhile.
func (op operation) awaitData(ctx context.Context, before []Subflow, leaves func(Subflow) bool) bool {
	received := make(map[uapi.SubflowID]uint64, len(before))
	most := hearMin
	for _, s := range before {
		received[s.ID] = s.TCP.BytesReceived
		most = max(most, min(drainRTTs*s.TCP.RTT, drainMost))
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		now, err := op.conn.Subflows()
		if err != nil {
			return false
		}
		for _, s := range now {
			if !leaves(s) && s.TCP.BytesReceived > received[s.ID] {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func (op operation) closeThose(ctx context.Context, which func(Subflow) bool) error {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range subflows {
		if !which(s) {
			continue
		}
		if s.TCP.State.Closing() { // the peer was faster
			continue
		}
		if err := op.destroy(ctx, s.Pair()); err != nil && !errors.Is(err, mptcppm.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// takeIDs returns the MPTCP address ids that the peer knows the addresses by, and
// forgets that it was told of them: 0 is that of the initial subflow.
func (op operation) takeIDs(addrs map[netip.Addr]bool) map[uapi.AddrID]bool {
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	ids := make(map[uapi.AddrID]bool)
	for _, f := range op.rec.table.Subflows {
		if f.AddrID != 0 && addrs[f.Local.Addr()] {
			ids[f.AddrID] = true
		}
	}
	for a, id := range op.rec.told {
		if addrs[a] {
			ids[id] = true
			delete(op.rec.told, a)
		}
	}
	if addrs[op.rec.first.Local.Addr()] {
		ids[0] = true
	}
	return ids
}
