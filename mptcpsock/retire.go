package mptcpsock

import (
	"context"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// Before subflows are closed they are made backups, at both ends, and what is
// under way on them may arrive: whatever a closed subflow has not delivered has
// to be sent again on another one, behind what that has been given already. A
// subflow on which nothing moves for a few round trips is not waited for.
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
	acked, received   uint64
	movedOut, movedIn time.Time // when that was last seen to grow
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
			d = &draining{movedOut: now, movedIn: now}
			drains[s.ID] = d
		}
		busy = d.busy(s.TCP, now) || busy
	}
	return busy
}

// busy reports whether something is still to come on the subflow, either way.
func (d *draining) busy(tcp uapi.TCPInfo, now time.Time) bool {
	if tcp.BytesAcked != d.acked {
		d.acked, d.movedOut = tcp.BytesAcked, now
	}
	if tcp.BytesReceived != d.received {
		d.received, d.movedIn = tcp.BytesReceived, now
	}
	out := tcp.Unacked > 0 || tcp.NotsentBytes > 0
	patience := max(drainMin, drainRTTs*tcp.RTT)
	// The peer goes on until it has heard of the priority, and what it sent
	// then takes as long to come: one round trip. Its queue shows as a pause.
	return out && now.Sub(d.movedOut) <= patience || now.Sub(d.movedIn) <= 2*tcp.RTT
}
