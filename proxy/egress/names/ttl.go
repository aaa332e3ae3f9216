package names

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// net.Resolver knows hosts file, name servers, time-outs and truncated answers, but does not
// tell for how long an answer holds. So its connections to name servers are looked into.

// meter learns from the messages of a lookup for how long its answer holds.
type meter struct {
	mu    sync.Mutex
	known bool
	ttl   time.Duration // the least
}

// metered returns a resolver like r for one lookup, whose answers m learns of. One for
// several lookups would not give those up that are alike.
func metered(r *net.Resolver, m *meter) *net.Resolver {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Resolver{
		PreferGo: true, StrictErrors: r.StrictErrors,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := ctx.Err(); err != nil {
				return nil, err // net.Resolver tries again, whatever the error
			}
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) }) // net.Resolver ends ctx behind each question
			if packets, ok := conn.(packetConn); ok {
				return &packetTap{packets, ctx, m}, nil
			}
			return &streamTap{Conn: conn, ctx: ctx, meter: m}, nil
		},
	}
}

// past is a deadline that ends a wait.
var past = time.Unix(1, 0)

// setDeadline is conn's, but none outlives ctx: net.Resolver leaves the wait for an answer
// that nobody wants any more to its time-out.
func setDeadline(ctx context.Context, conn net.Conn, t time.Time) error {
	err := conn.SetDeadline(t)
	if ctx.Err() != nil {
		err = conn.SetDeadline(past)
	}
	return err
}

// packetConn is what net.Resolver takes for UDP.
type packetConn interface {
	net.Conn
	net.PacketConn
}

// packetTap reads messages.
type packetTap struct {
	packetConn
	ctx   context.Context
	meter *meter
}

// SetDeadline implements net.Conn.
func (t *packetTap) SetDeadline(d time.Time) error { return setDeadline(t.ctx, t.packetConn, d) }

// Read implements net.Conn.
func (t *packetTap) Read(p []byte) (int, error) {
	n, err := t.packetConn.Read(p)
	if err == nil {
		t.meter.note(p[:n])
	}
	return n, err
}

// streamTap reads messages with their length ahead (RFC 1035 §4.2.2), of which net.Resolver
// wants one.
type streamTap struct {
	net.Conn
	ctx   context.Context
	meter *meter
	got   []byte
}

// SetDeadline implements net.Conn.
func (t *streamTap) SetDeadline(d time.Time) error { return setDeadline(t.ctx, t.Conn, d) }

// Read implements net.Conn.
func (t *streamTap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.got = append(t.got, p[:n]...)
	if len(t.got) > 2 && len(t.got) == 2+int(binary.BigEndian.Uint16(t.got)) {
		t.meter.note(t.got[2:])
	}
	return n, err
}

// note takes a message into account.
func (m *meter) note(message []byte) {
	var p dnsmessage.Parser
	head, err := p.Start(message)
	if err != nil || !head.Response || head.Truncated || p.SkipAllQuestions() != nil {
		return
	}
	if head.RCode != dnsmessage.RCodeSuccess && head.RCode != dnsmessage.RCodeNameError {
		return // the server has failed, and the zone has not said anything
	}
	answers, err := p.AllAnswers()
	if err != nil {
		return
	}
	found := false
	for _, a := range answers {
		found = found || a.Header.Type == dnsmessage.TypeA || a.Header.Type == dnsmessage.TypeAAAA
		m.atMost(a.Header.TTL)
	}
	if found {
		return
	}
	authorities, err := p.AllAuthorities()
	if err != nil {
		return
	}
	for _, a := range authorities {
		if soa, ok := a.Body.(*dnsmessage.SOAResource); ok { // RFC 2308 §5
			m.atMost(min(a.Header.TTL, soa.MinTTL))
		}
	}
}

func (m *meter) atMost(seconds uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ttl := time.Duration(seconds) * time.Second
	if !m.known || ttl < m.ttl {
		m.known, m.ttl = true, ttl
	}
}

// of returns how long an answer, or a failure, is used.
func (m *meter) of(failed bool) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.known:
		return unknownTTL
	case failed:
		return min(m.ttl, longestFailure)
	}
	return min(m.ttl, longest)
}
