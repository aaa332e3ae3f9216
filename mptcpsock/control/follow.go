package control

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"syscall"

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

// record is what a Controller keeps of one connection. What the connection's
// subflows are the engine knows; the record has the newest of its notices. The
// Controller's mutex guards it.
type record struct {
	token  uapi.Token
	conn   *Conn // nil: it is closed
	late   bool  // attached so late that the events about its handshake may be over
	first  Pair  // of the initial subflow
	fate   bool  // the connection shares the initial subflow's fate
	table  *engine.Table
	losses int                        // how often events were lost
	ids    map[Pair]uapi.SubflowID    // of the subflows that were seen and have not ended
	told   map[netip.Addr]uapi.AddrID // to the peer

	allowed []netip.AddrPort // local addresses, RFC 6897 section 5.3.3
	spread  []netip.AddrPort // those of them that are to be put to use once subflows can join

	ends    []ending
	seq     uint64        // of the latest ending
	changed chan struct{} // closed and replaced when anything of this changes
	watches map[*watch]struct{}
}

func newRecord(token uapi.Token, c *Conn) *record {
	return &record{
		token: token, conn: c, table: new(engine.Table),
		first:   Pair{Local: c.LocalAddrPort(), Remote: c.RemoteAddrPort()},
		ids:     make(map[Pair]uapi.SubflowID),
		told:    make(map[netip.Addr]uapi.AddrID),
		changed: make(chan struct{}),
		watches: make(map[*watch]struct{}),
	}
}

// wake makes everybody who waits for a change look again.
func (r *record) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// joinable reports whether further subflows can join.
func (r *record) joinable() bool { return r.late || r.table.Established }

// known returns what the engine knows of a subflow; ok is false when it knows
// nothing.
func (r *record) known(p Pair) (f engine.KnownSubflow, ok bool) {
	for _, f := range r.table.Subflows {
		if (Pair{Local: f.Local, Remote: f.Remote}) == p {
			return f, true
		}
	}
	return f, false
}

// ending is the end of a subflow, or of an attempt to open one.
type ending struct {
	pair  Pair
	seq   uint64
	errno syscall.Errno
	reset string // in words; empty: none
}

// endingsKept bounds the endings that are remembered: somebody waits for one
// from just before it comes.
const endingsKept = 64

// end notes that a subflow has ended.
func (r *record) end(p Pair, ev mptcppm.Event) {
	r.seq++
	e := ending{pair: p, seq: r.seq, errno: ev.Errno}
	if ev.Has(mptcppm.HasResetReason) {
		e.reset = ev.ResetReason.String()
	}
	if len(r.ends) == endingsKept {
		r.ends = append(r.ends[:0], r.ends[1:]...)
	}
	r.ends = append(r.ends, e)
}

// ended finds the end of a subflow after number seq. Where its local port is not
// known, one that differs in nothing else is taken.
func (r *record) ended(p Pair, seq uint64) (ending, bool) {
	for _, e := range r.ends {
		if e.seq > seq && covers(p, e.pair) {
			return e, true
		}
	}
	return ending{}, false
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

// covers reports whether q is p, or what p can become: port 0 of the local end
// stands for any.
func covers(p, q Pair) bool {
	if p.Local.Port() == 0 {
		q.Local = netip.AddrPortFrom(q.Local.Addr(), 0)
	}
	return p == q
}

func pairOf(ev mptcppm.Event) Pair {
	return Pair{Local: unmapPort(ev.Local), Remote: unmapPort(ev.Remote)}
}

func unmapPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
