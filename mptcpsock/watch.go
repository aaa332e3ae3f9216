package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"syscall"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
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

// event translates a kernel event. The zero Kind is one that is not delivered.
func (r *record) event(ev mptcppm.Event, ids map[Pair]uapi.SubflowID) SubflowEvent {
	out := SubflowEvent{Pair: pairOf(ev), Backup: ev.Backup, AddrID: ev.RemoteID}
	switch ev.Kind {
	case mptcppm.EventSubflowEstablished:
		out.Kind = SubflowEstablished
	case mptcppm.EventSubflowClosed:
		out.Kind, out.Errno = SubflowClosed, ev.Errno
	case mptcppm.EventSubflowPriority:
		out.Kind = SubflowPriority
	case mptcppm.EventAnnounced:
		out.Kind, out.Pair = AddressAnnounced, Pair{Remote: unmapPort(ev.Remote)}
		return out
	case mptcppm.EventRemoved:
		out.Kind, out.Pair = AddressRemoved, Pair{}
		return out
	}
	if f := r.subs[out.Pair]; f != nil {
		out.ID, out.IDKnown = f.id, f.idKnown
	}
	if id, ok := ids[out.Pair]; ok {
		out.ID, out.IDKnown = id, true
	}
	return out
}

// watchBuffer is how many events wait for a reader.
const watchBuffer = 64

// watch is one reader's queue. The Controller's goroutine writes, under its
// mutex.
type watch struct {
	events chan SubflowEvent
	lost   chan struct{} // holds a token after a gap
	ended  chan struct{} // closed after the last event
	end    error         // after ended; nil: the connection is closed
}

func newWatch() *watch {
	return &watch{
		events: make(chan SubflowEvent, watchBuffer),
		lost:   make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

func (w *watch) lose() {
	select {
	case w.lost <- struct{}{}:
	default:
	}
}

// tell delivers an event; a reader that is too slow is told that it missed
// some.
func (r *record) tell(e SubflowEvent) {
	for w := range r.watches {
		select {
		case w.events <- e:
		default:
			w.lose()
		}
	}
}

func (r *record) endWatches(err error) {
	for w := range r.watches {
		w.end = err
		close(w.ended)
	}
	clear(r.watches)
}

// Events yields the changes to the connection's subflows that happen after the
// call, until ctx ends or the connection is closed. The last error is ctx's, or
// ErrNoController when the Controller is closed; ErrEventsLost is not the last
// one, the events go on after it. After Close of the connection it just ends.
//
// With a Controller the events are the kernel's own, and none is missed. Without
// one, or any privilege, the subflows are compared four times a second: then
// there are only SubflowEstablished and SubflowClosed.
//
// Range over it, once and from one goroutine.
func (c *Conn) Events(ctx context.Context) iter.Seq2[SubflowEvent, error] {
	a := c.attached.Load()
	if a == nil {
		return c.pollEvents(ctx)
	}
	w, remove := a.subscribe()
	stop := context.AfterFunc(ctx, remove) // should nobody range over it
	return func(yield func(SubflowEvent, error) bool) {
		defer func() {
			stop()
			remove()
		}()
		for {
			e, err := w.next(ctx)
			if errors.Is(err, io.EOF) || !yield(e, err) || err != nil && !errors.Is(err, ErrEventsLost) {
				return
			}
		}
	}
}

func (a *attachment) subscribe() (w *watch, remove func()) {
	w = newWatch()
	a.ctl.mu.Lock()
	defer a.ctl.mu.Unlock()
	switch {
	case a.ctl.closed:
		w.end = ErrNoController
		close(w.ended)
	case a.rec.conn == nil:
		close(w.ended)
	default:
		a.rec.watches[w] = struct{}{}
	}
	return w, sync.OnceFunc(func() {
		a.ctl.mu.Lock()
		defer a.ctl.mu.Unlock()
		delete(a.rec.watches, w)
	})
}

// next waits for the next event. io.EOF says that the connection is closed.
func (w *watch) next(ctx context.Context) (SubflowEvent, error) {
	select {
	case e := <-w.events:
		return e, nil
	default:
	}
	select {
	case e := <-w.events:
		return e, nil
	case <-w.lost:
		return SubflowEvent{}, ErrEventsLost
	case <-ctx.Done():
		return SubflowEvent{}, ctx.Err()
	case <-w.ended:
	}
	select { // what came before the end
	case e := <-w.events:
		return e, nil
	default:
	}
	if w.end != nil {
		return SubflowEvent{}, w.end
	}
	return SubflowEvent{}, io.EOF
}
