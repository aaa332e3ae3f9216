package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"syscall"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// A SubflowEventKind says what happened to a connection's subflows.
type SubflowEventKind uint8

// The kinds of events.
const (
	// SubflowEstablished: a subflow is up, whichever end opened it.
	SubflowEstablished SubflowEventKind = iota + 1
	// SubflowClosed: a subflow is gone, or could not be established.
	SubflowClosed
	// SubflowPriority: the peer made a subflow a backup, or normal again.
	SubflowPriority
	// AddressAnnounced: the peer has another address, Pair.Remote (ADD_ADDR). Its
	// port is 0 unless the peer said one.
	AddressAnnounced
	// AddressRemoved: the peer took the address with id AddrID back (RM_ADDR).
	AddressRemoved
)

var subflowEventNames = [...]string{
	SubflowEstablished: "established", SubflowClosed: "closed", SubflowPriority: "priority",
	AddressAnnounced: "address announced", AddressRemoved: "address removed",
}

// String names the kind.
func (k SubflowEventKind) String() string {
	if k > 0 && int(k) < len(subflowEventNames) {
		return subflowEventNames[k]
	}
	return fmt.Sprintf("SubflowEventKind(%d)", uint8(k))
}

// A SubflowEvent is a change to the subflows of a connection.
type SubflowEvent struct {
	Kind SubflowEventKind
	// ID is that of Conn.SubIDs; IDKnown is false for an attempt that failed,
	// and for a subflow that was gone before anybody saw it.
	ID      uapi.SubflowID
	IDKnown bool
	Pair    Pair
	// Backup is the peer's priority.
	Backup bool
	// AddrID is the peer's id of the address.
	AddrID uapi.AddrID
	// Errno says why a subflow ended, 0 when it was closed in order or when
	// the kernel does not tell.
	Errno syscall.Errno
}

// String is a line for a log.
func (e SubflowEvent) String() string {
	switch e.Kind {
	case AddressAnnounced:
		return fmt.Sprintf("%v: %v, id %d", e.Kind, e.Pair.Remote, e.AddrID)
	case AddressRemoved:
		return fmt.Sprintf("%v: id %d", e.Kind, e.AddrID)
	}
	s := fmt.Sprintf("subflow %d %v: %v", e.ID, e.Kind, e.Pair)
	if !e.IDKnown {
		s = fmt.Sprintf("subflow %v: %v", e.Kind, e.Pair)
	}
	switch {
	case e.Backup:
		s += ", backup"
	case e.Kind == SubflowPriority:
		s += ", normal"
	}
	if e.Errno != 0 {
		s += ": " + e.Errno.Error()
	}
	return s
}

// pollInterval is how often subflows are compared where there are no events.
const pollInterval = 250 * time.Millisecond

// Events yields the subflows that were established and those that ended after the
// call, until ctx ends or the connection is closed. It compares the subflows four
// times a second, and tells nothing else; the Controller of package control tells
// what the kernel does, and when. The last error is ctx's; after Close of the
// connection there is none.
//
// Range over it, once and from one goroutine.
func (c *Conn) Events(ctx context.Context) iter.Seq2[SubflowEvent, error] {
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
			m[s.Pair()] = s.ID
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
