package control

import (
	"context"
	"errors"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// When a subflow ends, whichever end closed it, the sender's kernel gives all
// that has not been acknowledged at the data level to the other subflows, on
// whatever subflow it is under way (__mptcp_retransmit_pending_data,
// net/mptcp/protocol.c, Linux 6.18). What those hold already is sent a second
// time behind the first, and the receiver gets nothing new meanwhile. So the
// subflows that stay should hold nothing at that moment: they are made backups
// until they have run dry, while those that leave carry the data to the end. Then
// only what was under way on those is sent again, and the receiver needs it.
//
// Subflows that leave and are backups carry nothing; they run dry instead.
const (
	drainLook = 5 * time.Millisecond  // how often the subflows are read
	drainRTTs = 4                     // a subflow has run dry when nothing moved for so many round trips,
	drainMin  = 50 * time.Millisecond // and for this time at least
	drainMost = 2 * time.Second       // the longest wait for that
	hearMin   = 50 * time.Millisecond // the least time that the peer's answer to RM_ADDR is given
)

// retire prepares the subflows so that the receiver waits least when those that
// leave are closed. It returns those that stay and were made backups for that.
func (op operation) retire(ctx context.Context, leaves func(Subflow) bool) (lowered []uapi.SubflowID) {
	ctx, cancel := context.WithTimeout(ctx, drainMost)
	defer cancel()
	stays := func(s Subflow) bool { return !leaves(s) }
	carrying := op.normal(leaves)
	if len(carrying) > 0 {
		lowered = op.lower(ctx, op.normal(stays))
		op.runDry(ctx, stays, leaves)
		return lowered
	}
	op.runDry(ctx, leaves, nil)
	return nil
}

// normal finds the established subflows that neither end has made a backup.
func (op operation) normal(which func(Subflow) bool) (ids []uapi.SubflowID) {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return nil // the next step says why
	}
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	for _, s := range subflows {
		f, _ := op.rec.known(s.Pair())
		if which(s) && s.TCP.State == uapi.TCPEstablished && !f.Backup && !f.PeerBackup {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// lower makes subflows backups and returns those of which that came true.
func (op operation) lower(ctx context.Context, ids []uapi.SubflowID) (lowered []uapi.SubflowID) {
	for _, id := range ids {
		if op.prioritise(ctx, id, Backup) == nil {
			lowered = append(lowered, id)
		}
	}
	return lowered
}

// raise makes subflows normal again, also when the caller does not wait any
// longer.
func (op operation) raise(ctx context.Context, ids []uapi.SubflowID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOver)
	defer cancel()
	var errs []error
	for _, id := range ids {
		err := op.prioritise(ctx, id, Normal)
		if !errors.Is(err, ErrUnknownSubflow) && !errors.Is(err, ErrNotEstablished) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// runDry waits until nothing moves on some subflows, or on others, if given: on
// these the data should move meanwhile, else there is nothing to wait for.
func (op operation) runDry(ctx context.Context, which, others func(Subflow) bool) {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	seen := make(map[uapi.SubflowID]*draining)
	for {
		subflows, err := op.conn.Subflows()
		if err != nil || !anyBusy(seen, subflows, which) || others != nil && !anyBusy(seen, subflows, others) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// draining is what was seen of a subflow.
type draining struct {
	acked, received uint64
	moved           time.Time // when either was last seen to grow
}

// anyBusy takes a look at subflows into account and reports whether something
// moves on one of them.
func anyBusy(seen map[uapi.SubflowID]*draining, subflows []Subflow, which func(Subflow) bool) bool {
	busy, now := false, time.Now()
	for _, s := range subflows {
		if !which(s) || s.TCP.State != uapi.TCPEstablished {
			continue
		}
		d := seen[s.ID]
		if d == nil {
			d = &draining{moved: now}
			seen[s.ID] = d
		}
		busy = d.busy(s.TCP, now) || busy
	}
	return busy
}

// busy reports whether something may still come on the subflow, either way. The
// peer sends on it until it has heard of the new priority, and after that what it
// had given to the subflow before. Senders often pause for a round trip or two, so a
// short silence means nothing.
func (d *draining) busy(tcp uapi.TCPInfo, now time.Time) bool {
	if tcp.BytesAcked != d.acked || tcp.BytesReceived != d.received {
		d.acked, d.received, d.moved = tcp.BytesAcked, tcp.BytesReceived, now
	}
	return now.Sub(d.moved) <= max(drainMin, drainRTTs*tcp.RTT)
}
