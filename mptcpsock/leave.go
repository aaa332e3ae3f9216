package mptcpsock

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// end closes the subflows and tells the peer. Any address id but 0 is forgotten by
// the kernel with its last subflow, and has to be taken back first. The initial
// subflow, with id 0, is the first in the kernel's list, on which RM_ADDR goes: it
// is closed before, else the option would go down with it.
//
// Not so while it brings data. A peer whose TCP is reset under it may send what is
// not acknowledged twice (mptcp_subflow_ctx_reset forgets that it is closed,
// net/mptcp/protocol.c, Linux 6.18), so RM_ADDR has to be there before. What comes
// on the other subflows then shows that it was.
func (op operation) end(ctx context.Context, gone map[netip.Addr]bool) error {
	leaves := func(s Subflow) bool { return gone[s.Local.Addr()] }
	ids := op.addrIDs(gone)
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
		if err := op.tellRemoved(ctx, id); err != nil {
			return err
		}
	}
	heard := bringing && op.awaitData(ctx, before, leaves)
	err = op.closeThose(ctx, leaves)
	if ids[0] && !heard {
		err = errors.Join(err, op.tellRemoved(ctx, 0))
	}
	return err
}

// awaitData waits until something comes on a subflow that stays, four round trips
// at most, or hearMin. What leaves goes on bringing data meanwhile.
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

// tellRemoved sends RM_ADDR for an address id.
func (op operation) tellRemoved(ctx context.Context, id uapi.AddrID) error {
	err := op.ctl.cmds.Remove(ctx, op.rec.token, id)
	if errors.Is(err, mptcppm.ErrNotFound) {
		return nil
	}
	return err
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
		pair := Pair{s.Local, s.Remote}
		if s.TCP.State.Closing() { // the peer was faster
			op.markDestroyed(pair)
			continue
		}
		if err := op.destroy(ctx, pair); err != nil && !errors.Is(err, mptcppm.ErrNotFound) {
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
