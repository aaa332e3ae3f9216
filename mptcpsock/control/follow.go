package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// strangerKept is how long a connection is remembered that nobody attaches:
// other programs' are among the events.
const strangerKept = 10 * time.Second

// follow reads the kernel's events until ctx is done. It alone delivers them,
// in their order.
func (ctl *Controller) follow(ctx context.Context, done chan<- error) {
	defer ctl.cancel()
	if ctl.events == nil {
		done <- nil
		return
	}
	for ev, err := range ctl.events.All(ctx) {
		switch {
		case err == nil:
			ctl.handle(ev)
		case errors.Is(err, mptcppm.ErrEventsLost):
			ctl.resync()
		case ctx.Err() != nil:
			done <- nil
			return
		default:
			done <- fmt.Errorf("kernel events: %w", err)
			return
		}
	}
	done <- nil
}

// handle takes one event into account and tells those who watch.
func (ctl *Controller) handle(ev mptcppm.Event) {
	if ev.Token == 0 {
		return // of a listener
	}
	ids := ctl.identify(ev)
	ctl.mu.Lock()
	r := ctl.recordOf(ev)
	if r == nil {
		ctl.mu.Unlock()
		return
	}
	out := r.event(ev, ids)
	r.apply(ev)
	if f := r.subs[out.Pair]; f != nil && out.IDKnown {
		f.id, f.idKnown = out.ID, true
	}
	if out.Kind != 0 && r.conn != nil {
		r.tell(out)
	}
	var doomed *Conn
	if out.Kind == SubflowClosed && r.fate && out.Pair == r.first {
		doomed = r.conn
	}
	var rules *subRules
	if r.gone {
		if r.conn != nil {
			rules = r.conn.rules
		}
		r.endWatches(nil)
		delete(ctl.records, ev.Token)
	}
	a := (*attachment)(nil)
	if len(r.spread) > 0 && r.established && r.conn != nil {
		a = r.conn.attached.Load()
	}
	ctl.mu.Unlock()
	_ = rules.remove() // should the connection's owner have closed its TCPConn
	if a != nil {
		ctl.spread(a)
	}
	if doomed != nil {
		_ = doomed.Close() // its readers and writers fail with net.ErrClosed
	}
}

// identify reads the ids of the subflows of a connection that got a new one.
func (ctl *Controller) identify(ev mptcppm.Event) map[Pair]uapi.SubflowID {
	if ev.Kind != mptcppm.EventSubflowEstablished && ev.Kind != mptcppm.EventEstablished {
		return nil
	}
	ctl.mu.Lock()
	var c *Conn
	if r := ctl.records[ev.Token]; r != nil {
		c = r.conn
	}
	ctl.mu.Unlock()
	if c == nil {
		return nil
	}
	subflows, err := c.Subflows()
	if err != nil {
		return nil // it is being closed
	}
	ids := make(map[Pair]uapi.SubflowID, len(subflows))
	for _, s := range subflows {
		ids[s.Pair()] = s.ID
	}
	return ids
}

// recordOf returns the record of an event's connection; a new connection gets
// one, since its owner cannot know its token yet.
func (ctl *Controller) recordOf(ev mptcppm.Event) *record {
	r := ctl.records[ev.Token]
	if r != nil || ev.Kind != mptcppm.EventCreated && ev.Kind != mptcppm.EventEstablished {
		return r
	}
	now := time.Now()
	for token, old := range ctl.records {
		if old.conn == nil && now.Sub(old.since) > strangerKept {
			delete(ctl.records, token)
		}
	}
	r = newRecord(ev.Token)
	ctl.records[ev.Token] = r
	return r
}

// resync reads every connection anew: events were lost.
func (ctl *Controller) resync() {
	ctl.mu.Lock()
	conns := make(map[*record]*Conn, len(ctl.records))
	for _, r := range ctl.records {
		if r.conn != nil {
			conns[r] = r.conn
		}
	}
	ctl.mu.Unlock()
	for r, c := range conns {
		subflows, err := c.Subflows()
		ctl.mu.Lock()
		r.established = true // if it is not, the kernel will say so
		if err == nil {
			r.merge(subflows, true)
		}
		for w := range r.watches {
			w.lose()
		}
		r.wake()
		ctl.mu.Unlock()
	}
}
