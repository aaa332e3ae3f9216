package control

import (
	"context"
	"sync"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
)

// notices are what the engine has told and nobody has looked at yet. The engine
// does not wait: what a notice leads to may need the engine again.
type notices struct {
	mu      sync.Mutex
	waiting []notice
	arrived chan struct{} // holds a token while some wait
}

type notice struct {
	engine.Notice
	rec *record
}

// put is called by the engine.
func (n *notices) put(m notice) {
	n.mu.Lock()
	n.waiting = append(n.waiting, m)
	n.mu.Unlock()
	select {
	case n.arrived <- struct{}{}:
	default:
	}
}

// take returns what waits.
func (n *notices) take() []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.waiting
	n.waiting = nil
	return all
}

// follow takes the engine's notices until ctx is done. It alone delivers them,
// in their order.
func (ctl *Controller) follow(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ctl.notices.arrived:
		}
		for _, n := range ctl.notices.take() {
			ctl.handle(n)
		}
	}
}

// handle takes one notice into account and tells those who watch.
func (ctl *Controller) handle(n notice) {
	ids := ctl.identify(n)
	ctl.mu.Lock()
	r := n.rec
	c := r.conn
	ended := r.apply(n, ids)
	r.wake()
	if n.Gone && ctl.records[r.token] == r {
		r.endWatches(nil)
		delete(ctl.records, r.token)
	}
	spread := len(r.spread) > 0 && r.joinable() && c != nil
	ctl.mu.Unlock()
	switch {
	case c == nil:
	case n.Gone:
		_ = c.rules.remove() // should the connection's owner have closed its TCPConn
	case ended == r.first && r.fate:
		_ = c.Close() // its readers and writers fail with net.ErrClosed
	case spread:
		if a := c.attached.Load(); a != nil {
			ctl.spread(a)
		}
	}
}

// identify reads the ids of the subflows of a connection that got a new one.
func (ctl *Controller) identify(n notice) map[Pair]uapi.SubflowID {
	if n.Event.Kind != mptcppm.EventSubflowEstablished && n.Event.Kind != mptcppm.EventEstablished {
		return nil
	}
	ctl.mu.Lock()
	c := n.rec.conn
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

// apply takes a notice into the record and tells those who watch. It returns the
// ends of the subflow that has ended, if one has.
func (r *record) apply(n notice, ids map[Pair]uapi.SubflowID) (ended Pair) {
	r.table = n.Table
	if n.Lost {
		r.losses++
		for w := range r.watches {
			w.lose()
		}
	}
	out := r.event(n.Event, ids)
	switch out.Kind {
	case SubflowEstablished:
		if out.IDKnown {
			r.ids[out.Pair] = out.ID
		}
	case SubflowClosed:
		ended = out.Pair
		delete(r.ids, out.Pair)
		r.end(out.Pair, n.Event)
	}
	if out.Kind != 0 && r.conn != nil {
		r.tell(out)
	}
	return ended
}
