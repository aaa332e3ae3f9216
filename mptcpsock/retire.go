package mptcpsock

import (
	"context"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// Before subflows are closed they are made backups, at both ends, and what is
// under way on them may arrive: whatever a closed subflow has not delivered has
// to be sent again on another one, behind what that has been given already. A
// dead subflow is not waited for: drainMost bounds it, and a few round trips do.
const (
	drainLook = 5 * time.Millisecond
	drainRTTs = 4
	drainMin  = 50 * time.Millisecond
	drainMost = time.Second
)

// retire takes the traffic off the subflows that leave.
func (op operation) retire(ctx context.Context, leaves func(Subflow) bool) {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return
	}
	wait := drainMin
	for _, s := range subflows {
		if leaves(s) && s.TCP.State == uapi.TCPEstablished {
			_ = op.prioritise(ctx, s.ID, Backup) // MP_PRIO is Linux 6.0; without it the rest still helps
			wait = max(wait, drainRTTs*s.TCP.RTT)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, min(wait, drainMost))
	defer cancel()
	op.drain(ctx, leaves)
}

// drain waits until nothing moves on the subflows, or ctx ends.
func (op operation) drain(ctx context.Context, leaves func(Subflow) bool) {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	received := make(map[uapi.SubflowID]uint64)
	since := make(map[uapi.SubflowID]time.Time) // when it was last seen to receive
	for {
		subflows, err := op.conn.Subflows()
		if err != nil {
			return
		}
		now, busy := time.Now(), false
		for _, s := range subflows {
			if !leaves(s) || s.TCP.State != uapi.TCPEstablished {
				continue
			}
			if n, seen := received[s.ID]; !seen || n != s.TCP.BytesReceived {
				received[s.ID], since[s.ID] = s.TCP.BytesReceived, now
			}
			// The peer goes on until it has heard of the priority, and what
			// it sent then takes as long to come: one round trip.
			busy = busy || s.TCP.Unacked > 0 || s.TCP.NotsentBytes > 0 || now.Sub(since[s.ID]) <= s.TCP.RTT
		}
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
