package mptcpsock

import (
	"context"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// Before subflows are closed they are made backups, at both ends, and what is
// under way on them may arrive. A subflow on which nothing moves for a few round
// trips is not waited for.
//
// When a subflow ends, whichever end closed it, the kernel sends all again that
// the peer has not acknowledged at the data level, on whatever subflow it is
// under way (__mptcp_retransmit_pending_data, net/mptcp/protocol.c, Linux 6.18).
// The receiver gets nothing new meanwhile: as little as possible should be queued
// at the sender, which its Controller sees to (rtowatch.Config.Backlog).
const (
	drainLook = 5 * time.Millisecond
	drainRTTs = 4
	drainMin  = 50 * time.Millisecond
	drainMost = 2 * time.Second
)

// retire takes the traffic off the subflows that leave.
func (op operation) retire(ctx context.Context, leaves func(Subflow) bool) {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return
	}
	for _, s := range subflows {
		if leaves(s) && s.TCP.State == uapi.TCPEstablished {
			_ = op.prioritise(ctx, s.ID, Backup) // MP_PRIO is Linux 6.0; without it the rest still helps
		}
	}
	ctx, cancel := context.WithTimeout(ctx, drainMost)
	defer cancel()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	drains := make(map[uapi.SubflowID]*draining)
	for op.stillDraining(drains, leaves, time.Now()) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// draining is what was seen of a subflow that leaves.
type draining struct {
	acked, received uint64
	moved           time.Time // when either was last seen to grow
}

// stillDraining looks once at the subflows that leave.
func (op operation) stillDraining(drains map[uapi.SubflowID]*draining, leaves func(Subflow) bool, now time.Time) bool {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return false
	}
	busy := false
	for _, s := range subflows {
		if !leaves(s) || s.TCP.State != uapi.TCPEstablished {
			continue
		}
		d := drains[s.ID]
		if d == nil {
			d = &draining{moved: now}
			drains[s.ID] = d
		}
		busy = d.busy(s.TCP, now) || busy
	}
	return busy
}

// busy reports whether something may still come on the subflow, either way. The
// peer goes on until it has heard of the priority, and then with what it had
// given the subflow before; senders pause for a round trip or two as a matter of
// course.
func (d *draining) busy(tcp uapi.TCPInfo, now time.Time) bool {
	if tcp.BytesAcked != d.acked || tcp.BytesReceived != d.received {
		d.acked, d.received, d.moved = tcp.BytesAcked, tcp.BytesReceived, now
	}
	return now.Sub(d.moved) <= max(drainMin, drainRTTs*tcp.RTT)
}
