package control

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

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
	default:
		return SubflowEvent{}
	}
	out.ID, out.IDKnown = r.ids[out.Pair]
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
		return c.Conn.Events(ctx)
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
