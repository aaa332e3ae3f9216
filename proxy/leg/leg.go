package leg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/socks"
)

// Leg is an open stream through the concentrator to a destination.
type Leg struct {
	Stream relay.Stream    // what to read and write: TLS, or the socket itself, framed or not
	Conn   *mptcpsock.Conn // the socket under it
	Path   string          // path of the first subflow
	Bound  netip.AddrPort  // the concentrator's BND.ADDR, may be invalid
	Reused bool            // it carried another stream before

	below     relay.Stream  // Stream without frames
	framed    *relay.Framed // Stream; nil: the leg carries one stream
	key       legKey
	way       attempt // that led to the concentrator
	answered  bool    // the concentrator has accepted the token
	idleSince time.Time
	observed  *proxy.Observed
}

// Close ends the leg, whatever has become of its stream.
func (l *Leg) Close() {
	_ = l.Stream.Close()
	l.observed.End()
}

// converse connects, secures the leg, sends opening and runs read on it, all
// under ctx. On error nothing is left open. f is nil for a leg that will
// carry nothing.
func (s *Session) converse(ctx context.Context, f *proxy.Flow, opening []byte, read func(*Leg) error) (*Leg, error) {
	var choice proxy.Choice
	if f != nil {
		choice = f.How
	}
	conn, way, err := s.connect(ctx, choice)
	if err != nil {
		return nil, err
	}
	leg := &Leg{Stream: conn, below: conn, Conn: conn, Path: way.Path, way: way}
	if f != nil {
		leg.observed = proxy.Observe(s.cfg.Observer, conn, f)
	}
	if err := s.exchange(ctx, leg, opening, read); err != nil {
		// The bare socket: a TLS goodbye would look to the concentrator like
		// data from a client that still waits for its dial.
		_ = leg.Conn.Close()
		leg.observed.End()
		s.reportFailure(ctx, leg, err)
		return nil, withCause(ctx, err)
	}
	return leg, nil
}

// reportFailure says what a leg met that failed before the concentrator had accepted
// the token. A caller that gave up, and a wrong token, say nothing about the way.
func (s *Session) reportFailure(ctx context.Context, l *Leg, err error) {
	var refused *proxy.Failure
	switch {
	case l.answered || errors.Is(ctx.Err(), context.Canceled):
	case errors.Is(err, ErrPinMismatch):
		s.report(l.way, ForeignKey)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		s.report(l.way, Stalled)
	case errors.As(err, &refused): // ErrNotMultipath has been reported; the token is no matter of the way
	default:
		s.report(l.way, Broken)
	}
}

// readAnswer reads what the concentrator says to a request.
func (l *Leg) readAnswer(framed bool) error {
	reply, bound, err := socks.ReadReply(l.below, framed)
	if err != nil {
		return err
	}
	if reply != proxy.Succeeded {
		return &proxy.Failure{Outcome: reply, Err: fmt.Errorf("the concentrator answered: %s", reply)}
	}
	l.Bound = bound
	return nil
}

// withCause adds why ctx ended to what came of it. The socket's deadline may
// pass a moment before that of ctx does.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		cause = context.DeadlineExceeded
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, cause)
}

func (s *Session) exchange(ctx context.Context, leg *Leg, opening []byte, read func(*Leg) error) error {
	if err := s.checkMultipath(leg); err != nil {
		return err
	}
	_ = leg.Conn.SetDeadline(earlier(ctx, time.Now().Add(s.cfg.ConnectTimeout)))
	stop := context.AfterFunc(ctx, func() { _ = leg.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.cfg.TLS != nil {
		rec := relay.NewRecordConn(leg.Conn)
		rec.Hold()
		rec.OnSent(s.cfg.Begun)
		defer func() { _ = rec.Release() }() // nothing is held any more once read has waited
		tc := tls.Client(rec, s.cfg.TLS)
		if err := tc.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
			return tlsError(err)
		}
		leg.Stream, leg.below = tc, tc
	}
	if _, err := leg.below.Write(opening); err != nil {
		return fmt.Errorf("sending the request to the concentrator: %w", err)
	}
	if s.cfg.TLS == nil && s.cfg.Begun != nil {
		s.cfg.Begun()
	}
	if err := read(leg); err != nil {
		return err
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return leg.Conn.SetDeadline(time.Time{})
}

// earlier returns ctx's deadline or d, whichever comes first.
func earlier(ctx context.Context, d time.Time) time.Time {
	if of, ok := ctx.Deadline(); ok && of.Before(d) {
		return of
	}
	return d
}

// checkMultipath makes a fall-back to plain TCP visible, and an error where
// that is asked for: never a silent fall-back.
func (s *Session) checkMultipath(leg *Leg) error {
	reason, err := leg.Conn.Fallback()
	if err != nil {
		return fmt.Errorf("asking the kernel whether the leg is MPTCP: %w", err)
	}
	if reason == mptcpsock.FallbackNone {
		s.health.multipath()
		return nil
	}
	s.report(leg.way, Stripped)
	if s.cfg.FellBack != nil {
		s.cfg.FellBack(leg.Path)
	}
	s.health.fellBack(leg.Path, reason.String())
	if s.cfg.RequireMPTCP {
		return fmt.Errorf("%w: path %s, %s", ErrNotMultipath, leg.Path, reason)
	}
	return nil
}
