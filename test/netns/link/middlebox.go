package link

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoMiddlebox is returned when the kernel emulates a link, or nothing does.
var ErrNoMiddlebox = errors.New("link: only links of kind tap and packet have middleboxes")

// Middlebox is a firewall or NAT on a link that keeps state for each TCP
// connection over IPv4 and forgets it when nothing has crossed for a while.
type Middlebox struct {
	// Idle is how long state is kept; 0 is for ever.
	Idle time.Duration
	// Reset answers segments of connections that are not known with a RST;
	// otherwise they are dropped.
	Reset bool
}

// SetMiddlebox sets the middlebox up, or changes it. It knows the connections
// of which it has seen a segment since the first call.
func (l *Link) SetMiddlebox(m Middlebox) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.backend.(*emulator)
	if !ok {
		return ErrNoMiddlebox
	}
	e.states.set(m)
	return nil
}

// Forget makes the middlebox lose all its state, as when it is started anew.
func (l *Link) Forget() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.backend.(*emulator)
	if !ok {
		return ErrNoMiddlebox
	}
	e.states.forget()
	return nil
}

// Knows reports whether segments between two ends pass the middlebox now.
func (l *Link) Knows(a, b netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.backend.(*emulator)
	return ok && e.states.knows(keyOf(a, b), time.Now())
}

// tcpKey names a connection whichever way its segments go.
type tcpKey struct{ low, high netip.AddrPort }

func keyOf(a, b netip.AddrPort) tcpKey {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return tcpKey{a, b}
}

// states is what the middlebox of a link knows. Both wires ask it.
type states struct {
	used atomic.Bool // a link without a middlebox remembers nothing
	mu   sync.Mutex
	box  Middlebox
	seen map[tcpKey]time.Time
}

func (s *states) set(m Middlebox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.box = m
	s.used.Store(true)
}

func (s *states) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.seen)
}

func (s *states) knows(k tcpKey, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.seen[k]
	return known && (s.box.Idle == 0 || now.Sub(at) < s.box.Idle)
}

// pass takes a frame into account. When it does not pass, reset is the frame to
// answer with, or nil.
func (s *states) pass(frame []byte, now time.Time) (ok bool, reset []byte) {
	if !s.used.Load() {
		return true, nil
	}
	k, flags, is := tcpOf(frame)
	if !is {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[tcpKey]time.Time)
	}
	at, known := s.seen[k]
	switch {
	case s.box.Idle == 0, flags&flagSYN != 0, known && now.Sub(at) < s.box.Idle:
		s.seen[k] = now
		return true, nil
	case known:
		delete(s.seen, k)
	}
	if s.box.Reset && flags&flagRST == 0 {
		return false, resetFor(frame)
	}
	return false, nil
}

const (
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// tcpOf reads the ends and the flags of a TCP segment over IPv4.
func tcpOf(frame []byte) (k tcpKey, flags byte, ok bool) {
	ip, tcp := ipv4TCP(frame)
	if tcp == nil {
		return tcpKey{}, 0, false
	}
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), binary.BigEndian.Uint16(tcp))
	dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), binary.BigEndian.Uint16(tcp[2:]))
	return keyOf(src, dst), tcp[13], true
}

// ipv4TCP returns the headers of a TCP segment over IPv4, with what follows
// them; nil for other frames.
func ipv4TCP(frame []byte) (ip, tcp []byte) {
	if len(frame) < 14+20 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return nil, nil
	}
	ip = frame[14:]
	header := int(ip[0]&15) * 4
	if header < 20 || ip[9] != 6 || len(ip) < header+20 {
		return nil, nil
	}
	return ip, ip[header:]
}

// resetFor makes the RST that answers a segment (RFC 9293 section 3.10.7.1), on
// behalf of its destination.
func resetFor(frame []byte) []byte {
	ip, tcp := ipv4TCP(frame)
	if tcp == nil {
		return nil
	}
	out := make([]byte, 14+20+20)
	copy(out, frame[6:12])
	copy(out[6:], frame[:6])
	binary.BigEndian.PutUint16(out[12:], 0x0800)
	rip, rtcp := out[14:34], out[34:]
	rip[0], rip[8], rip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(rip[2:], 40)
	copy(rip[12:], ip[16:20])
	copy(rip[16:], ip[12:16])
	binary.BigEndian.PutUint16(rip[10:], ^fold(sum16(rip, 0)))
	copy(rtcp, tcp[2:4])
	copy(rtcp[2:], tcp[:2])
	rtcp[12], rtcp[13] = 5<<4, flagRST
	if tcp[13]&flagACK != 0 {
		copy(rtcp[4:], tcp[8:12]) // SEG.ACK
	} else {
		payload := int(binary.BigEndian.Uint16(ip[2:])) - int(ip[0]&15)*4 - int(tcp[12]>>4)*4
		binary.BigEndian.PutUint32(rtcp[8:], binary.BigEndian.Uint32(tcp[4:])+uint32(max(payload, 0)))
		rtcp[13] |= flagACK
	}
	pseudo := sum16(rip[12:20], 6+20) // protocol and length
	binary.BigEndian.PutUint16(rtcp[16:], ^fold(sum16(rtcp, pseudo)))
	return out
}

// sum16 adds up the 16-bit words of b (RFC 1071).
func sum16(b []byte, sum uint32) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
