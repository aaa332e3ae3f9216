package mptcpsock

import (
	"context"
	"errors"
	"iter"
	"net"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// pollInterval is how often subflows are compared where there are no events.
const pollInterval = 250 * time.Millisecond

// pollEvents is Events without a Controller.
func (c *Conn) pollEvents(ctx context.Context) iter.Seq2[SubflowEvent, error] {
	before, err := c.establishedByPair()
	return func(yield func(SubflowEvent, error) bool) {
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		for err == nil {
			select {
			case <-ctx.Done():
				yield(SubflowEvent{}, ctx.Err())
				return
			case <-tick.C:
			}
			var now map[Pair]uapi.SubflowID
			if now, err = c.establishedByPair(); err != nil {
				break
			}
			for _, e := range changes(before, now) {
				if !yield(e, nil) {
					return
				}
			}
			before = now
		}
		if !errors.Is(err, net.ErrClosed) {
			yield(SubflowEvent{}, err)
		}
	}
}

func (c *Conn) establishedByPair() (map[Pair]uapi.SubflowID, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return nil, err
	}
	m := make(map[Pair]uapi.SubflowID, len(subflows))
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPEstablished {
			m[Pair{s.Local, s.Remote}] = s.ID
		}
	}
	return m, nil
}

// changes are the events between two looks: ends first, in the order of ids.
func changes(before, now map[Pair]uapi.SubflowID) []SubflowEvent {
	only := func(kind SubflowEventKind, in, notIn map[Pair]uapi.SubflowID) (out []SubflowEvent) {
		for p, id := range in {
			if other, ok := notIn[p]; !ok || other != id {
				out = append(out, SubflowEvent{Kind: kind, ID: id, IDKnown: true, Pair: p})
			}
		}
		slices.SortFunc(out, func(a, b SubflowEvent) int { return int(a.ID) - int(b.ID) })
		return out
	}
	return append(only(SubflowClosed, before, now), only(SubflowEstablished, now, before)...)
}
