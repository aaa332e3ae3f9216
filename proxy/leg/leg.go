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
	Reused bool            // it was there already, and the stream needed no handshake

	below  relay.Stream  // Stream without frames
	framed *relay.Framed // Stream; nil: the leg carries one stream
	// EarlySent: the flow's Early went with its request.
	EarlySent bool

	ready     bool // data may travel with a request
	unused    bool // it has carried no stream yet
	key       legKey
	way       attempt           // that led to the concentrator
	plain     bool              // it is no MPTCP
	records   *relay.RecordConn // under TLS; nil without
	answered  bool              // the concentrator has accepted the token
	idleSince time.Time
	observed  *proxy.Observed
	alone     alone
}

// Close ends the leg, whatever has become of its stream.
func (l *Leg) Close() {
	_ = l.Stream.Close()
	l.alone.rest()
	l.observed.End()
}

// abandon ends a leg that has carried nothing. It closes the bare socket: a TLS goodbye
// would look to the concentrator like data from a client that still waits for its dial.
func (l *Leg) abandon() {
	_ = l.Conn.Close()
	l.alone.rest()
	l.observed.End()
}

// giveUp is abandon for a leg on which something was asked. Without TLS the end of the leg
// might be that of an application's data, and the concentrator would go on.
func (l *Leg) giveUp() {
	if l.records == nil {
		_ = l.Conn.SetLinger(0)
	}
	l.abandon()
}

// converse connects, runs opening and read on the leg, all under ctx. On error nothing
// is left open. f is nil for a leg that will carry nothing. cands are the paths to begin on, the best first.
func (s *Session) converse(ctx context.Context, f *proxy.Flow, cands []Candidate, opening []byte, read func(*Leg) error) (*Leg, error) {
	leg, err := s.connect(ctx, f, cands)
	if err != nil {
		return nil, err
	}
	if err := s.exchange(ctx, leg, opening, read); err != nil {
		leg.giveUp()
		// A caller that gave up says nothing about the way, nor does what comes after the
		// concentrator has accepted the token.
		if r := resultOf(err); r != Fine && !leg.answered && !errors.Is(ctx.Err(), context.Canceled) {
			s.report(leg.way, r)
		}
		return nil, withCause(ctx, err)
	}
	return leg, nil
}

// resultOf says what an error behind the TCP handshake tells about the way on which it
// was met; Fine: nothing.
func resultOf(err error) Result {
	var refused *proxy.Failure
	switch {
	case errors.Is(err, ErrPinMismatch):
		return ForeignKey
	case errors.Is(err, ErrNotMultipath):
		return Stripped
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Stalled
	case errors.As(err, &refused): // the token is no matter of the way
		return Fine
	}
	return Broken
}

// readAnswer reads what the concentrator says to a request.
func (l *Leg) readAnswer(framed bool) error {
	reply, bound, err := socks.ReadReply(l.below, framed)
	if err != nil {
		return err
	}
	if reply != proxy.Succeeded {
		f := &proxy.Failure{Outcome: reply, Err: fmt.Errorf("the concentrator answered: %s", reply)}
		if bound.Addr().IsUnspecified() && bound.Port() != 0 {
			f.Limit = proxy.Limit(bound.Port())
			f.Err = fmt.Errorf("%w: %s", f.Err, f.Limit)
		}
		return f
	}
	l.Bound = bound
	return nil
}

// late says of a time-out behind the concentrator's answer to the token that it is the
// destination's matter.
func late(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &proxy.Failure{Outcome: proxy.TTLExpired, Err: fmt.Errorf("the concentrator has not reached the destination in time: %w", err)}
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

// secure sees whether a leg is MPTCP, and lets the other end show its key. What that
// would send last waits for what exchange sends first, in one packet.
func (s *Session) secure(ctx context.Context, leg *Leg) error {
	if s.cfg.TLS == nil {
		return s.checkMultipath(leg)
	}
	_ = leg.Conn.SetDeadline(earlier(ctx, time.Now().Add(s.cfg.ConnectTimeout)))
	stop := context.AfterFunc(ctx, func() { _ = leg.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	leg.records = relay.NewRecordConn(leg.Conn)
	leg.records.Hold()
	tc := tls.Client(leg.records, s.cfg.TLS)
	if err := tc.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
		return tlsError(err)
	}
	leg.Stream, leg.below = tc, tc
	if !stop() {
		return context.Cause(ctx)
	}
	// A portal speaks no MPTCP either: only behind the concentrator's key it tells that
	// something on the way strips it.
	return s.checkMultipath(leg)
}

// exchange sends opening and runs read on a leg that is secure.
func (s *Session) exchange(ctx context.Context, leg *Leg, opening []byte, read func(*Leg) error) error {
	_ = leg.Conn.SetDeadline(earlier(ctx, time.Now().Add(s.cfg.ConnectTimeout)))
	stop := context.AfterFunc(ctx, func() { _ = leg.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if leg.records != nil {
		defer func() { _ = leg.records.Release() }() // nothing is held any more once read has waited
	}
	if _, err := leg.below.Write(opening); err != nil {
		return fmt.Errorf("sending the request to the concentrator: %w", err)
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
	leg.plain = true
	if !s.cfg.RequireMPTCP {
		s.report(leg.way, Stripped) // else the race does
	}
	if s.cfg.FellBack != nil {
		s.cfg.FellBack(leg.Path)
	}
	s.health.fellBack(leg.Path, reason.String())
	if s.cfg.RequireMPTCP {
		return fmt.Errorf("%w: path %s, %s", ErrNotMultipath, leg.Path, reason)
	}
	return nil
}
