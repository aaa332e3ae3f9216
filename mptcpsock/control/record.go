package control

import (
	"fmt"
	"net/netip"
	"syscall"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
)

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
