package mptcpsock

import (
	"context"
	"fmt"

	"mpproxy/mptcpsock/uapi"
)

// outcome waits until a subflow is established or has ended.
func (op operation) outcome(ctx context.Context, pair Pair, seq uint64, prio Priority) (Pair, error) {
	op.ctl.mu.Lock()
	readings := op.rec.readings
	op.ctl.mu.Unlock()
	err := op.await(ctx, func() (bool, error) {
		if f, p := op.rec.find(pair); f != nil {
			f.backup = prio == Backup
			pair = p
			return true, nil
		}
		if e, ok := op.rec.ended(pair, seq); ok {
			return true, e.err()
		}
		if op.rec.readings != readings && !op.rec.present[pair] {
			return true, ErrSubflowFailed // its end was among events that were lost
		}
		return false, nil
	})
	return pair, err
}

// find returns an established subflow by its ends.
func (r *record) find(p Pair) (*subRecord, Pair) {
	if f := r.subs[p]; f != nil {
		return f, p
	}
	if p.Local.Port() == 0 {
		for q, f := range r.subs {
			if p.covers(q) && q != r.first {
				return f, q
			}
		}
	}
	return nil, p
}

func (e ending) err() error {
	switch {
	case e.errno != 0:
		return fmt.Errorf("%w: %w", ErrSubflowFailed, e.errno)
	case e.reset != "":
		return fmt.Errorf("%w: the peer reset it: %s", ErrSubflowFailed, e.reset)
	}
	return ErrSubflowFailed
}

// abandon destroys an attempt whose caller does not wait any longer.
func (op operation) abandon(pair Pair) {
	if pair.Local.Port() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	_ = op.destroy(ctx, pair)
}

func (op operation) idOf(pair Pair) (uapi.SubflowID, error) {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return 0, err
	}
	for _, s := range subflows {
		if (Pair{s.Local, s.Remote}) == pair {
			return s.ID, nil
		}
	}
	return 0, fmt.Errorf("%w: it ended at once", ErrSubflowFailed)
}
