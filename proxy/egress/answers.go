package egress

import (
	"crypto/tls"
	"time"

	"mpproxy/proxy/relay"
	"mpproxy/proxy/socks"
)

// welcomeAfter is how long the answers to greeting and token wait for the one about the
// destination. Most destinations are reached by then, and all leave in one segment. It is
// longer than subflows take to join, which small writes must not meet (relay.RecordConn.Hold).
const welcomeAfter = 250 * time.Millisecond

// welcomeLater tells the client that its token was taken, once the destination takes long:
// a client takes a concentrator that says nothing for one that fails. The returned
// function must be called when the destination has answered.
func (s *Concentrator) welcomeLater(p *peer, req *socks.Request) (end func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(welcomeAfter, func() {
		defer close(done)
		_ = p.conn.SetWriteDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
		if req.Welcome() == nil {
			_ = push(p.stream) // failed: the reply will fail, too
		}
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

// push sends what has been held since secure, release ends the holding.
func push(stream relay.Stream) error    { return onRecords(stream, (*relay.RecordConn).Push) }
func release(stream relay.Stream) error { return onRecords(stream, (*relay.RecordConn).Release) }

func onRecords(stream relay.Stream, do func(*relay.RecordConn) error) error {
	if tc, ok := stream.(*tls.Conn); ok {
		return do(tc.NetConn().(*relay.RecordConn))
	}
	return nil
}
