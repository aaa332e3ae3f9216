package leg

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"mpproxy/internal/hostaddr"
	"mpproxy/proxy"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/socks"
)

// Errors of the leg, to be told apart with errors.Is. Each has its own remedy.
// socks.ErrTokenRefused is another one.
var (
	// ErrUnreachable: no path led to the concentrator.
	ErrUnreachable error = &proxy.Failure{Outcome: proxy.NetworkUnreachable, Err: errors.New("the concentrator cannot be reached")}
	// errNoFamily: the concentrator has only addresses of a family that no path has.
	errNoFamily = errors.New("no path has an address of the family")
	// ErrNoPath: none of the paths that a rule allows is up. It says nothing about
	// the concentrator.
	ErrNoPath error = &proxy.Failure{Outcome: proxy.NetworkUnreachable, Err: errors.New("none of the paths that are allowed is up")}
	// ErrPinMismatch: somebody answered, with a key other than the link's.
	ErrPinMismatch error = &proxy.Failure{Outcome: proxy.GeneralFailure, Err: errors.New("the server's key is not the one that the link names")}
	// ErrNotMultipath: the leg came up as plain TCP and require_mptcp is set.
	ErrNotMultipath error = &proxy.Failure{Outcome: proxy.GeneralFailure, Err: errors.New("the connection to the concentrator is plain TCP, and require_mptcp is set")}
)

// Config describes the concentrator and how to talk to it.
type Config struct {
	Host string // name or address
	Port uint16
	// TLS is the client configuration (see ClientTLS); nil means that the leg
	// is not encrypted (security = "none").
	TLS *tls.Config
	// Credentials returns user name and token for a mode; an empty user name
	// means that the server asks for none.
	Credentials func(mode string) (user, token string)
	// LeaveSubflows reports whether the concentrator is to close no subflow, because the
	// kernel makes them here; nil: it may.
	LeaveSubflows func() bool
	// RequireMPTCP refuses legs that came up as plain TCP.
	RequireMPTCP bool
	// ConnectTimeout bounds reaching the concentrator, TLS and authentication;
	// AnswerTimeout bounds the whole of OpenStream, with the concentrator's own dial.
	ConnectTimeout, AnswerTimeout time.Duration
	ReceiveBuffer                 int           // bytes; see mptcpsock.Dialer
	Paths                         Paths         // nil: the kernel's routing decides
	Resolver                      *net.Resolver // nil: the system's
	Log                           *slog.Logger
	// FellBack is called for each leg that came up as plain TCP; may be nil.
	FellBack func(path string)
	// Observer is told of each leg as soon as it is connected; may be nil.
	Observer proxy.Observer
	// IdleLegs is how many legs are kept for another stream when theirs has
	// ended, where the concentrator agrees; 0: none.
	IdleLegs int
	// Ahead has legs opened before flows ask for them, within IdleLegs.
	Ahead bool
}

// Session opens legs to one concentrator. It is safe for concurrent use.
type Session struct {
	cfg    Config
	log    *slog.Logger
	names  nameCache
	own    hostaddr.Cache
	health health
	idle   pool
	ahead  *ahead
}

// New returns a Session. It opens nothing yet.
func New(cfg Config) *Session {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = 30 * time.Second
	}
	if cfg.Paths == nil {
		cfg.Paths = NewRanking(nil, nil, nil)
	}
	s := &Session{
		cfg: cfg, log: cfg.Log,
		names:  nameCache{host: cfg.Host, resolver: cfg.Resolver},
		health: health{log: cfg.Log},
		idle:   pool{most: cfg.IdleLegs},
	}
	s.ahead = newAhead(s)
	return s
}

// OpenStream asks the concentrator for a stream to the destination. An error that
// wraps a refusal of the concentrator carries its reply code; the other errors
// wrap ErrUnreachable, ErrNoPath, ErrPinMismatch, socks.ErrTokenRefused
// or ErrNotMultipath.
func (s *Session) OpenStream(ctx context.Context, f *proxy.Flow) (*Leg, error) {
	cred := s.credentials(f.How.Mode)
	key := keyOf(cred, f.How)
	deadline := time.Now().Add(s.cfg.AnswerTimeout)
	s.ahead.took(key, f.How)
	if leg, err := s.reopen(ctx, deadline, key, f); leg != nil || err != nil {
		s.note(ctx, err)
		return leg, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	cands, err := s.cfg.Paths.Order(f.How)
	if err != nil {
		s.note(ctx, err)
		return nil, err
	}
	leg, err := s.converse(ctx, f, cands, append(cred.Greeting(), socks.MessageFor(f)...), func(leg *Leg) error {
		agreed, err := cred.ReadGreeting(leg.below)
		if err != nil {
			return err
		}
		s.answered(leg)
		s.ahead.able.Store(agreed.Ready)
		// From here on it is the destination that takes its time.
		_ = leg.Conn.SetDeadline(earlier(ctx, deadline))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := leg.readAnswer(agreed.Framed); err != nil {
			return late(err)
		}
		if agreed.Framed {
			leg.key, leg.ready, leg.framed = key, agreed.Ready, relay.NewFramed(leg.below)
			leg.Stream = leg.framed
		}
		return nil
	})
	s.note(ctx, err)
	return leg, err
}

// Check reaches the concentrator and shows the token, without asking for a
// destination. Its errors are those of OpenStream.
func (s *Session) Check(ctx context.Context, mode string) error {
	cred := s.credentials(mode)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	cands, err := s.cfg.Paths.Order(proxy.Choice{})
	if err != nil {
		s.note(ctx, err)
		return err
	}
	leg, err := s.converse(ctx, nil, cands, cred.Greeting(), func(leg *Leg) error {
		_, err := cred.ReadGreeting(leg.below)
		if err == nil {
			s.answered(leg)
		}
		return err
	})
	if err == nil {
		leg.Close()
	}
	s.note(ctx, err)
	return err
}

// Idle returns how many legs wait for another stream.
func (s *Session) Idle() int { return s.idle.len() }

// Ahead reports whether the concentrator lets legs wait for their first flow, as the last
// new one has shown.
func (s *Session) Ahead() bool { return s.ahead.able.Load() }

// Close closes the legs that wait for a stream. Those that end later are not kept.
func (s *Session) Close() {
	s.ahead.close()
	s.idle.close()
}

// Health says how the concentrator answered last.
func (s *Session) Health() Health { return s.health.get() }

func (s *Session) credentials(mode string) socks.Credentials {
	user, token := s.cfg.Credentials(mode)
	return socks.Credentials{
		User: user, Password: token, Frames: s.cfg.IdleLegs > 0,
		LeaveSubflows: s.cfg.LeaveSubflows != nil && s.cfg.LeaveSubflows(),
	}
}

// answered notes that the concentrator has accepted the token on a new leg.
func (s *Session) answered(l *Leg) {
	l.answered = true
	if !l.plain {
		s.report(l.way, Fine)
	}
	s.health.ok()
}

// note keeps what err says about the concentrator. A caller that went away
// says nothing about it.
func (s *Session) note(ctx context.Context, err error) {
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		s.health.failed(err)
	}
}
