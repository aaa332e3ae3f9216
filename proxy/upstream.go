package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy/relay"
)

// Errors of the leg, to be told apart with errors.Is. Each has its own remedy.
var (
	// ErrUnreachable: no path led to the concentrator.
	ErrUnreachable = errors.New("the concentrator cannot be reached")
	// ErrPinMismatch: somebody answered, with a key other than the link's.
	ErrPinMismatch = errors.New("the server's key is not the one that the link names")
	// ErrTokenRefused: the concentrator does not know this user or token.
	ErrTokenRefused = errors.New("the concentrator refused the user name or token")
	// ErrNotMultipath: the leg came up as plain TCP and require_mptcp is set.
	ErrNotMultipath = errors.New("the connection to the concentrator is plain TCP, and require_mptcp is set")
)

// Candidate is one way to reach the concentrator.
type Candidate struct {
	Path      string     // name of the path
	Source    netip.Addr // local address to bind; invalid: the kernel chooses
	Interface string     // device to bind, so that no rule or route leads elsewhere; empty: none
	Metered   bool
	Troubled  bool // subflows fail on it just now: no place to begin if there is another
	Ranked    bool // the user has said where it stands
	// RTT is its round trip as measured lately; 0: not known.
	RTT time.Duration

	unknown bool // quickest has found that it may be better than the first
}

// Paths tells which ways there are, the best-ranked first. The controller
// implements it; implementations are safe for concurrent use and do not block.
type Paths interface {
	Candidates() []Candidate
}

// UpstreamConfig describes the concentrator and how to talk to it.
type UpstreamConfig struct {
	Host string // name or address
	Port uint16
	// TLS is the client configuration (see ClientTLS); nil means that the leg
	// is not encrypted (security = "none").
	TLS *tls.Config
	// Credentials returns user name and token for a mode; an empty user name
	// means that the server asks for none.
	Credentials func(mode string) (user, token string)
	// RequireMPTCP refuses legs that came up as plain TCP.
	RequireMPTCP bool
	// ConnectTimeout bounds reaching the concentrator, TLS and authentication;
	// AnswerTimeout bounds the whole of Open, with the concentrator's own dial.
	ConnectTimeout, AnswerTimeout time.Duration
	ReceiveBuffer                 int // bytes; see mptcpsock.Dialer
	Paths                         Paths
	// BeginAnywhere says of a mode that it uses all paths, so that a connection
	// may begin on the one with the least round trip; nil: of none.
	BeginAnywhere func(mode string) bool
	Resolver      *net.Resolver // nil: the system's
	Log           *slog.Logger
	// FellBack is called for each leg that came up as plain TCP; may be nil.
	FellBack func(path string)
	// Observer is told of each leg as soon as it is connected; may be nil.
	Observer Observer
	// Begun is called when the first data of a leg was sent, with whose acknowledgement
	// the kernel begins to take further subflows; may be nil.
	Begun func()
	// IdleLegs is how many legs are kept for another stream when theirs has
	// ended, where the concentrator agrees; 0: none.
	IdleLegs int
}

// Upstream opens legs to one concentrator. It is safe for concurrent use.
type Upstream struct {
	cfg    UpstreamConfig
	log    *slog.Logger
	names  nameCache
	own    ownAddrs
	health health
	idle   kept

	mu    sync.Mutex
	avoid map[string]time.Time // way → until when it is tried last
}

// NewUpstream returns an Upstream. It opens nothing yet.
func NewUpstream(cfg UpstreamConfig) *Upstream {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = 30 * time.Second
	}
	return &Upstream{
		cfg: cfg, log: cfg.Log, avoid: make(map[string]time.Time),
		names:  nameCache{host: cfg.Host, resolver: cfg.Resolver},
		health: health{log: cfg.Log},
		idle:   kept{most: cfg.IdleLegs},
	}
}

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
	idleSince time.Time
	observed  *observed
}

// Close ends the leg, whatever has become of its stream.
func (l *Leg) Close() {
	_ = l.settle()
	_ = l.Stream.Close()
	l.observed.end()
}

// Open asks the concentrator for a stream to the destination. An error that
// wraps a refusal of the concentrator carries its reply code; the other errors
// wrap ErrUnreachable, ErrNoPath, ErrPinMismatch, ErrTokenRefused or
// ErrNotMultipath.
func (u *Upstream) Open(ctx context.Context, s Stream) (*Leg, error) {
	cred := u.credentials(s.Mode)
	key := keyOf(cred, s.Choice)
	deadline := time.Now().Add(u.cfg.AnswerTimeout)
	if leg, err := u.reopen(ctx, deadline, key, s); leg != nil || err != nil {
		u.note(ctx, err)
		return leg, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	leg, err := u.converse(ctx, &s, cred.flight(s.Destination), func(leg *Leg) error {
		framed, err := cred.readGreeting(leg.below)
		if err != nil {
			return err
		}
		u.health.ok()
		// From here on it is the destination that takes its time.
		_ = leg.Conn.SetDeadline(earlier(ctx, deadline))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		least := shortestReplySize
		if framed {
			least = numericReplySize
		}
		if err := leg.readAnswer(least); err != nil {
			return err
		}
		if framed {
			leg.key, leg.framed = key, relay.NewFramed(leg.below)
			leg.framed.HoldEnd = true
			leg.Stream = leg.framed
		}
		return nil
	})
	u.note(ctx, err)
	return leg, err
}

// Check reaches the concentrator and shows the token, without asking for a
// destination. Its errors are those of Open.
func (u *Upstream) Check(ctx context.Context, mode string) error {
	cred := u.credentials(mode)
	ctx, cancel := context.WithTimeout(ctx, u.cfg.ConnectTimeout)
	defer cancel()
	leg, err := u.converse(ctx, nil, cred.greeting(), func(leg *Leg) error {
		_, err := cred.readGreeting(leg.below)
		return err
	})
	if err == nil {
		leg.Close()
		u.health.ok()
	}
	u.note(ctx, err)
	return err
}

// Health says how the concentrator answered last.
func (u *Upstream) Health() Health { return u.health.get() }

func (u *Upstream) credentials(mode string) credentials {
	user, token := u.cfg.Credentials(mode)
	return credentials{user, token, u.cfg.IdleLegs > 0}
}

// note keeps what err says about the concentrator. A caller that went away
// says nothing about it.
func (u *Upstream) note(ctx context.Context, err error) {
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		u.health.failed(err)
	}
}

// converse connects, secures the leg, sends opening and runs read on it, all
// under ctx. On error nothing is left open. stream is nil for a leg that will
// carry none.
func (u *Upstream) converse(ctx context.Context, stream *Stream, opening []byte, read func(*Leg) error) (*Leg, error) {
	var choice Choice
	if stream != nil {
		choice = stream.Choice
	}
	conn, path, err := u.connect(ctx, choice)
	if err != nil {
		return nil, err
	}
	leg := &Leg{Stream: conn, below: conn, Conn: conn, Path: path}
	if stream != nil {
		leg.observed = observe(u.cfg.Observer, conn, *stream)
	}
	if err := u.exchange(ctx, leg, opening, read); err != nil {
		// The bare socket: a TLS goodbye would look to the concentrator like
		// data from a client that still waits for its dial.
		_ = leg.Conn.Close()
		leg.observed.end()
		return nil, withCause(ctx, err)
	}
	return leg, nil
}

// readAnswer reads what the concentrator says to a request, in at least so many bytes.
func (l *Leg) readAnswer(least int) error {
	reply, bound, err := readReply(l.below, least)
	if err != nil {
		return err
	}
	if reply != ReplySucceeded {
		return &replyError{reply, fmt.Errorf("the concentrator answered: %s", reply)}
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

func (u *Upstream) exchange(ctx context.Context, leg *Leg, opening []byte, read func(*Leg) error) error {
	if err := u.checkMultipath(leg); err != nil {
		return err
	}
	_ = leg.Conn.SetDeadline(earlier(ctx, time.Now().Add(u.cfg.ConnectTimeout)))
	stop := context.AfterFunc(ctx, func() { _ = leg.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if u.cfg.TLS != nil {
		rec := relay.NewRecordConn(leg.Conn)
		rec.Hold()
		rec.OnSent(u.cfg.Begun)
		defer func() { _ = rec.Release() }() // nothing is held any more once read has waited
		tc := tls.Client(rec, u.cfg.TLS)
		if err := tc.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
			return tlsError(err)
		}
		leg.Stream, leg.below = tc, tc
	}
	if _, err := leg.below.Write(opening); err != nil {
		return fmt.Errorf("sending the request to the concentrator: %w", err)
	}
	if u.cfg.TLS == nil && u.cfg.Begun != nil {
		u.cfg.Begun()
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
func (u *Upstream) checkMultipath(leg *Leg) error {
	reason, err := leg.Conn.Fallback()
	if err != nil {
		return fmt.Errorf("asking the kernel whether the leg is MPTCP: %w", err)
	}
	if reason == mptcpsock.FallbackNone {
		u.health.multipath()
		return nil
	}
	if u.cfg.FellBack != nil {
		u.cfg.FellBack(leg.Path)
	}
	u.health.fellBack(leg.Path, reason.String())
	if u.cfg.RequireMPTCP {
		return fmt.Errorf("%w: path %s, %s", ErrNotMultipath, leg.Path, reason)
	}
	return nil
}
