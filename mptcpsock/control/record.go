package control

import (
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// record is what a Controller knows of one connection beyond what its socket
// tells. The Controller's mutex guards it.
type record struct {
	token       uapi.Token
	conn        *Conn // nil: not attached, or closed
	established bool  // subflows can join
	denyJoin    bool  // though not at the peer's first address
	gone        bool
	since       time.Time
	first       Pair             // of the initial subflow, unmapped
	fate        bool             // the connection shares the initial subflow's fate
	spread      []netip.AddrPort // local addresses to be put to use once subflows can join

	subs      map[Pair]*subRecord // established ones, by their ends, unmapped
	ids       map[netip.Addr]uapi.AddrID
	announced map[uapi.AddrID]netip.AddrPort // by the peer
	told      map[netip.Addr]bool            // to the peer
	allowed   []netip.AddrPort               // local addresses, RFC 6897 section 5.3.3

	present  map[Pair]bool // in the latest reading, in whatever state
	readings int

	ends    []ending
	seq     uint64        // of the latest ending
	changed chan struct{} // closed and replaced when anything of this changes
	opening chan struct{} // holds a token while nobody opens a subflow
	watches map[*watch]struct{}
}

// subRecord is one subflow.
type subRecord struct {
	local, remote      netip.AddrPort // as the kernel has them: commands want them so
	addrID             uapi.AddrID    // of the local address
	remoteID           uapi.AddrID
	idsKnown           bool // of the two
	backup, peerBackup bool
	destroyed          bool // by us; the event about its end is to come
	id                 uapi.SubflowID
	idKnown            bool
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

func newRecord(token uapi.Token) *record {
	r := &record{
		token: token, since: time.Now(),
		subs:      make(map[Pair]*subRecord),
		ids:       make(map[netip.Addr]uapi.AddrID),
		announced: make(map[uapi.AddrID]netip.AddrPort),
		told:      make(map[netip.Addr]bool),
		changed:   make(chan struct{}),
		opening:   make(chan struct{}, 1),
		watches:   make(map[*watch]struct{}),
	}
	r.opening <- struct{}{}
	return r
}

// wake makes everybody who waits for a change look again.
func (r *record) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// merge takes a reading of the socket into account: it shows what happened
// before anybody listened, and, when events were lost, what is gone.
func (r *record) merge(subflows []Subflow, lost bool) {
	now := make(map[Pair]bool, len(subflows))
	r.present = make(map[Pair]bool, len(subflows))
	r.readings++
	for _, s := range subflows {
		r.present[s.Pair()] = true
		if s.TCP.State != uapi.TCPEstablished {
			continue
		}
		p := s.Pair()
		now[p] = true
		f := r.subs[p]
		if f == nil {
			f = &subRecord{local: s.Local, remote: s.Remote}
			r.subs[p] = f
		}
		f.id, f.idKnown = s.ID, true
	}
	for p := range r.subs {
		if lost && !now[p] {
			delete(r.subs, p)
		}
	}
	if !r.first.Local.IsValid() && r.conn != nil {
		r.first = Pair{Local: r.conn.LocalAddrPort(), Remote: r.conn.RemoteAddrPort()}
	}
}

// apply records an event.
func (r *record) apply(ev mptcppm.Event) {
	p := pairOf(ev)
	switch ev.Kind {
	case mptcppm.EventCreated, mptcppm.EventEstablished:
		r.first, r.denyJoin = p, ev.DenyJoinID0()
		r.established = r.established || ev.Kind == mptcppm.EventEstablished
		r.sub(p, ev).idsKnown = true // 0 and 0
	case mptcppm.EventSubflowEstablished:
		f := r.sub(p, ev)
		f.addrID, f.remoteID, f.idsKnown = ev.LocalID, ev.RemoteID, true
		f.peerBackup = ev.Backup && !f.backup
		if ev.LocalID != 0 {
			r.ids[p.Local.Addr()] = ev.LocalID
		}
	case mptcppm.EventSubflowClosed:
		r.end(p, ev)
	case mptcppm.EventSubflowPriority:
		r.sub(p, ev).peerBackup = ev.Backup
	case mptcppm.EventAnnounced:
		r.announced[ev.RemoteID] = unmapPort(ev.Remote)
	case mptcppm.EventRemoved:
		delete(r.announced, ev.RemoteID)
	case mptcppm.EventClosed:
		r.gone = true
	}
	r.wake()
}

// sub returns the record of a subflow, with its ends as the kernel has them.
func (r *record) sub(p Pair, ev mptcppm.Event) *subRecord {
	f := r.subs[p]
	if f == nil {
		f = &subRecord{}
		r.subs[p] = f
	}
	f.local, f.remote = ev.Local, ev.Remote
	return f
}

func (r *record) end(p Pair, ev mptcppm.Event) {
	delete(r.subs, p)
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

// ended finds the end of a subflow after number seq. While its local port is
// not known, one that differs in nothing else is taken.
func (r *record) ended(p Pair, seq uint64) (ending, bool) {
	for _, e := range r.ends {
		if e.seq > seq && covers(p, e.pair) {
			return e, true
		}
	}
	return ending{}, false
}

// remoteFor returns the peer's address for a subflow from a local address: its
// first one where the family is the same, else an announced one.
func (r *record) remoteFor(local netip.Addr) (netip.AddrPort, bool) {
	if r.first.Remote.Addr().Is4() == local.Is4() && !r.denyJoin {
		return r.first.Remote, true
	}
	for _, id := range slices.Sorted(maps.Keys(r.announced)) {
		a := r.announced[id]
		if a.Addr().Is4() == local.Is4() {
			if a.Port() == 0 {
				a = netip.AddrPortFrom(a.Addr(), r.first.Remote.Port())
			}
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

// Address ids that we give to local addresses. The kernel counts up from 1 for
// addresses that peers join, the engine has 160 to 223.
const (
	firstAddrID uapi.AddrID = 224
	lastAddrID  uapi.AddrID = 254
)

// addrID returns the MPTCP address id of a local address, the same one for as
// long as the connection exists.
func (r *record) addrID(a netip.Addr) (uapi.AddrID, bool) {
	if id, ok := r.ids[a]; ok {
		return id, true
	}
	used := make(map[uapi.AddrID]bool, len(r.ids))
	for _, id := range r.ids {
		used[id] = true
	}
	for id := firstAddrID; id <= lastAddrID; id++ {
		if !used[id] {
			r.ids[a] = id
			return id, true
		}
	}
	return 0, false
}

func pairOf(ev mptcppm.Event) Pair {
	return Pair{Local: unmapPort(ev.Local), Remote: unmapPort(ev.Remote)}
}

func unmapPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
