package egress

import (
	"context"
	"net"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

// restTime is how long the concentrator keeps a leg that carries nothing. The
// client, which keeps it for less, closes it first, so that no request meets a
// leg that was closed meanwhile.
const restTime = time.Minute

// peer is a client's leg at the concentrator. It carries one stream, or one after
// another if the client has agreed to frames.
type peer struct {
	conn     *mptcpsock.Conn
	stream   relay.Stream  // conn, or TLS on it
	framed   *relay.Framed // on stream; nil: it carries one stream
	agreed   socks.Agreed
	fresh    bool // it has waited for its first stream
	id       proxy.Identity
	ctx      context.Context // ends with the leg
	cancel   context.CancelCauseFunc
	observed *proxy.Observed
	release  func() // gives the place among the connections back
}

// stop ends the leg and what it carries.
func (p *peer) stop() { p.cancel(nil) }

// end forgets the leg, which is closed.
func (p *peer) end() {
	p.stop()
	p.observed.End()
	p.release()
}

// sealed reports whether the client marks the end of what it says: the leg's own end
// without such a mark means that the client has left.
func (p *peer) sealed() bool { return p.framed != nil || p.stream != relay.Stream(p.conn) }

// carrier is what the relay moves bytes on.
func (p *peer) carrier() relay.Stream {
	if p.framed != nil {
		return p.framed
	}
	return p.stream
}

// rest waits for the next request on a leg whose stream c has ended. It reports whether
// there is something to read. Meanwhile the leg counts among the IdleLegs and not among
// the connections. The table finds it under c until Table.Wake.
func (s *Concentrator) rest(p *peer, c *serve.Connection) bool {
	done := s.Track()
	p.release()
	p.release = done
	if s.Table().Rest(c) != nil {
		return false
	}
	if p.framed.Early() {
		return true
	}
	select {
	case s.resters <- struct{}{}:
	default:
		return false
	}
	defer func() { <-s.resters }()
	wake := func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) }
	_ = p.conn.SetReadDeadline(time.Now().Add(restTime))
	for _, ctx := range []context.Context{s.Draining(), p.ctx} {
		defer context.AfterFunc(ctx, wake)()
	}
	return awaitInput(p.conn.TCPConn) == nil
}

// stand lets a leg wait whose client has shown who it is and asked for nothing yet.
func (s *Concentrator) stand(p *peer) {
	c := &serve.Connection{
		User: p.id.User, Grant: p.id.Grant, Mode: p.id.Mode, Peer: serve.AddrPort(p.conn.RemoteAddr()), Leg: p.conn, Stop: p.stop,
	}
	c, dest := s.follow(p, c)
	s.carry(p, c, dest)
}

// follow waits for the next stream on a leg, which was last called c. It returns a nil dest
// when the leg has ended.
func (s *Concentrator) follow(p *peer, c *serve.Connection) (next *serve.Connection, dest *net.TCPConn) {
	if !s.rest(p, c) {
		s.Table().Wake(c)
		_ = p.carrier().Close()
		p.end()
		return nil, nil
	}
	next, dest, err := s.again(p)
	s.Table().Wake(c) // not before it is found under its next name
	if err != nil {
		s.drop(p, next, err)
		return nil, nil
	}
	return next, dest
}

// again takes the next stream of a leg that has rested.
func (s *Concentrator) again(p *peer) (*serve.Connection, *net.TCPConn, error) {
	full, release := s.Claim()
	p.release()
	p.release = release
	c, dest, err := s.reopen(p, full)
	if err == nil {
		if !p.fresh {
			s.Table().Totals.Reused.Add(1)
		}
		p.fresh = false
		p.observed.Next(carried(c, p.id))
	}
	return c, dest, err
}

// reopen is open for a leg that is secure and whose user is known.
func (s *Concentrator) reopen(p *peer, full bool) (*serve.Connection, *net.TCPConn, error) {
	defer s.bound(p)()
	req, err := s.hands.Next(p.framed.Between(), p.id, p.agreed)
	if err != nil {
		return nil, nil, err
	}
	if !p.fresh {
		if err := p.framed.Next(); err != nil {
			return nil, nil, err
		}
	}
	return s.serveRequest(p, req, full)
}
