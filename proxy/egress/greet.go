package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

// greet secures the leg and learns who the client is and what it wants. A silent peer costs
// no buffer.
func (s *Concentrator) greet(p *peer) (*socks.Request, error) {
	if err := awaitInput(p.conn.TCPConn); err != nil {
		return nil, err
	}
	var err error
	if p.stream, err = s.secure(p.conn); err != nil {
		return nil, err
	}
	req, err := s.hands.Handshake(p.ctx, p.stream)
	if err != nil {
		_ = release(p.stream)
		s.Table().Totals.CountHandshake(err)
	}
	return req, err
}

// welcome gives a peer whose user is known a place among the connections, and gives the
// one among the strangers back. If there is none, the peer stays among the strangers until
// it has been told.
func (s *Concentrator) welcome(p *peer) (full bool) {
	full, release := s.Claim()
	before := p.release
	if full {
		p.release = func() { before(); release() }
		return true
	}
	before()
	p.release = release
	return false
}

// bound sets the deadline of a handshake. The returned function must be called when the
// handshake is over.
func (s *Concentrator) bound(p *peer) func() {
	_ = p.conn.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
	stop := context.AfterFunc(p.ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// secure runs the handshake of TLS, if the leg has it. What it writes is held until
// release, so that it goes out together with the answer.
func (s *Concentrator) secure(leg *mptcpsock.Conn) (relay.Stream, error) {
	if s.cfg.TLS == nil {
		return leg, nil
	}
	rec := relay.NewRecordConn(leg)
	rec.Hold()
	tc := tls.Server(rec, s.cfg.TLS)
	if err := tc.Handshake(); err != nil {
		_ = rec.Release() // the alert that says why
		if errors.Is(err, io.EOF) {
			return nil, proxy.ErrPeerLeft
		}
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return tc, nil
}

// awaitInput waits, without a buffer, until there are bytes to read. At the end of data it
// returns proxy.ErrPeerLeft, at the read deadline os.ErrDeadlineExceeded.
func awaitInput(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		n, failure = serve.Peek(int(fd))
		return failure != unix.EAGAIN
	})
	switch {
	case err != nil:
		return fmt.Errorf("waiting for the first byte: %w", err)
	case failure != nil:
		return fmt.Errorf("waiting for the first byte: %w", failure)
	case n == 0:
		return proxy.ErrPeerLeft
	}
	return nil
}
