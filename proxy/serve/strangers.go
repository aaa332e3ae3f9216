package serve

import (
	"container/list"
	"errors"
	"net/netip"
	"sync"
)

// ErrDisplaced ends the handshake of a stranger whose place a later one has taken.
var ErrDisplaced = errors.New("it had not shown who it is when later peers needed its place")

// StrangerLimits bound how many peers at a time are shaking hands.
type StrangerLimits struct {
	Most      int // in sum, at least 1
	PerSource int // from one source, at least 1
	// V4Bits and V6Bits are the lengths of the prefix that makes a source: whoever has
	// one address has all of it. 0 to 32 and 0 to 128.
	V4Bits, V6Bits int
}

// DefaultStrangers are limits for tests and small programs. An IPv6 customer has at least
// a /64 (RFC 6177 §2).
var DefaultStrangers = StrangerLimits{Most: 1024, PerSource: 256, V4Bits: 32, V6Bits: 64}

// Strangers are the peers that have not shown who they are yet. They have places of their
// own, so that they cannot take those of users.
//
// Nobody is turned away: where the places of a source or all places are taken, a newcomer
// takes the oldest one's. A peer of good will needs its place for two round trips, one that
// only wants to occupy it loses it to the next. OpenSSH's MaxStartups refuses newcomers
// at random instead: under a flood that renews itself it refuses nearly everybody.
type Strangers struct {
	limits StrangerLimits

	mu      sync.Mutex
	all     list.List                   // of *stranger, the oldest first
	sources map[netip.Prefix]*list.List // the same strangers by source, none empty
}

// stranger is one peer that is shaking hands.
type stranger struct {
	source          netip.Prefix
	displace        func()
	inAll, inSource *list.Element
}

// NewStrangers returns places for strangers, all of them free.
func NewStrangers(limits StrangerLimits) *Strangers {
	return &Strangers{limits: limits, sources: make(map[netip.Prefix]*list.List)}
}

// Enter gives a peer a place until leave is called. If a later peer takes the place, displace
// is called once: it ends the peer and does not block. displaced reports whether this peer
// took another one's place.
func (s *Strangers) Enter(peer netip.Addr, displace func()) (leave func(), displaced bool) {
	p := &stranger{source: s.source(peer), displace: displace}
	s.mu.Lock()
	oldest := s.makeRoom(p.source)
	p.inAll = s.all.PushBack(p)
	of := s.sources[p.source]
	if of == nil {
		of = list.New()
		s.sources[p.source] = of
	}
	p.inSource = of.PushBack(p)
	s.mu.Unlock()
	if oldest != nil {
		oldest.displace()
	}
	return func() { s.leave(p) }, oldest != nil
}

// makeRoom takes a stranger out where there is no place for one from source, and returns it.
func (s *Strangers) makeRoom(source netip.Prefix) (oldest *stranger) {
	from := &s.all
	if of := s.sources[source]; of != nil && of.Len() >= s.limits.PerSource {
		from = of
	} else if s.all.Len() < s.limits.Most {
		return nil
	}
	oldest = from.Front().Value.(*stranger)
	s.remove(oldest)
	return oldest
}

// leave gives a place back, unless it was taken.
func (s *Strangers) leave(p *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.inAll != nil {
		s.remove(p)
	}
}

func (s *Strangers) remove(p *stranger) {
	of := s.sources[p.source]
	s.all.Remove(p.inAll)
	of.Remove(p.inSource)
	if of.Len() == 0 {
		delete(s.sources, p.source)
	}
	p.inAll, p.inSource = nil, nil
}

// Len returns how many strangers there are.
func (s *Strangers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Len()
}

// source returns the prefix by which an address is counted.
func (s *Strangers) source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := s.limits.V6Bits
	if a.Is4() {
		bits = s.limits.V4Bits
	}
	p, _ := a.Prefix(bits)
	return p
}
