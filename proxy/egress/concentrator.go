// Package egress is the concentrator: it accepts legs, shakes hands with their clients
// under a deadline and within limits, and connects to the destinations that the rules
// allow.
//
//	c := egress.New(egress.Config{Listen: …, Auth: …})
//	err := c.Run(ctx)
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

// Config describes the server side.
type Config struct {
	Listen []netip.AddrPort
	// TLS is the server configuration (see leg.ServerTLS); nil means that the leg
	// is not encrypted (security = "none").
	TLS                   *tls.Config
	Auth                  socks.Authenticator
	Rules                 destination.Rules
	Public                string               // address or name by which clients know it; may be empty
	Resolver              *net.Resolver        // nil: the system's
	Strangers             serve.StrangerLimits // zero: serve.DefaultStrangers
	MaxConnections        int                  // > 0, of users
	MaxConnectionsPerUser int                  // 0: no limit
	// IdleLegs is how many legs may wait for another stream; 0: each carries one.
	IdleLegs int
	// Still asks whether a user whose token was right when he came may go on. It is asked
	// for each stream and each rest between two. May be nil.
	Still func(ctx context.Context, user, grant string) error
	// UserLimit returns a user's own limit, which goes before
	// MaxConnectionsPerUser; 0 means none. May be nil.
	UserLimit        func(ctx context.Context, user string) (int, error)
	HandshakeTimeout time.Duration // from accept to a complete request
	ConnectTimeout   time.Duration // for the destination
	AuthFailureDelay time.Duration // before a wrong token is answered
	DrainTimeout     time.Duration // how long a stop waits for connections; 0: not at all
	ReceiveBuffer    int           // bytes; see mptcpsock.ListenConfig
	Relay            relay.Config
	Log              *slog.Logger
	// Observer is told of each leg that is relayed; may be nil.
	Observer proxy.Observer
}

// Concentrator takes legs from clients and connects to their destinations.
// Create it with New and call Run once.
type Concentrator struct {
	*serve.Service
	cfg   Config
	log   *slog.Logger
	hands *socks.Server
	dests *destinationDialer
	// strangers are the peers that have not shown who they are yet.
	strangers *serve.Strangers
	// resters has one element for each leg that waits for its next stream.
	resters chan struct{}
}

// New returns a Concentrator. It listens when Run is called.
func New(cfg Config) *Concentrator {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Strangers == (serve.StrangerLimits{}) {
		cfg.Strangers = serve.DefaultStrangers
	}
	c := &Concentrator{
		strangers: serve.NewStrangers(cfg.Strangers),
		Service:   serve.New(cfg.Log, cfg.MaxConnections, cfg.DrainTimeout),
		cfg:       cfg, log: cfg.Log,
		dests:   newDestinationDialer(cfg.Rules, cfg.Public, cfg.Resolver, cfg.ConnectTimeout),
		resters: make(chan struct{}, cfg.IdleLegs),
	}
	c.hands = &socks.Server{Auth: cfg.Auth, Frames: cfg.IdleLegs > 0, OnFailure: func(ctx context.Context) {
		serve.Sleep(ctx, cfg.AuthFailureDelay)
	}}
	if cfg.Still != nil {
		c.Table().Still = func(of *serve.Connection) error { return cfg.Still(c.Conns(), of.User, of.Grant) }
	}
	return c
}

// String names the task.
func (s *Concentrator) String() string { return "concentrator" }

// Run listens, serves until ctx is done, then drains. It returns an error if
// a listener cannot be bound.
func (s *Concentrator) Run(ctx context.Context) error {
	var loops []serve.Loop
	for _, addr := range s.cfg.Listen {
		lc := mptcpsock.ListenConfig{ReceiveBuffer: s.cfg.ReceiveBuffer}
		l, err := lc.Listen(ctx, addr)
		if err != nil {
			return errors.Join(serve.ListenError(addr, err), serve.Close(loops))
		}
		loops = append(loops, serve.AcceptStrangers(s.Service, l.Addr(), l, l.Accept, s.admit))
		s.log.Info("concentrator is listening", "address", l.Addr(), "tls", s.cfg.TLS != nil)
	}
	return s.Service.Run(ctx, &s.cfg.Relay, loops)
}

// admit gives a peer a place among the strangers and begins to serve it.
func (s *Concentrator) admit(leg *mptcpsock.Conn, done func()) {
	p := &peer{conn: leg}
	p.ctx, p.cancel = context.WithCancelCause(s.Conns())
	leave, displaced := s.strangers.Enter(serve.AddrPort(leg.RemoteAddr()).Addr(), func() { p.cancel(serve.ErrDisplaced) })
	p.release = func() { leave(); done() }
	if displaced {
		s.Table().Totals.Refused.Add(1)
	}
	go s.handle(p)
}

// handle serves one leg from its handshake to the start of the relay.
func (s *Concentrator) handle(p *peer) {
	c, dest, err := s.open(p)
	if err != nil {
		s.drop(p, c, err)
		return
	}
	if multipath, err := p.conn.IsMultipath(); err == nil && !multipath {
		s.Table().Totals.FellBack.Add(1)
	}
	if p.fresh {
		p.observed = proxy.Observe(s.cfg.Observer, p.conn, &proxy.Flow{Who: p.id, How: proxy.Choice{Mode: p.id.Mode}})
		go s.stand(p)
		return
	}
	p.observed = proxy.Observe(s.cfg.Observer, p.conn, carried(c, p.id))
	go s.carry(p, c, dest)
}

// carry relays the streams of a leg, one after the other. It runs in a goroutine of its
// own, as relay.Run asks for. The streams that follow stay in that goroutine: reading
// their requests grows its stack, but a new goroutine for each stream would cost more.
// carry returns when the leg has ended, or when the relay has parked the stream. In the
// second case the relay calls carryOn later.
func (s *Concentrator) carry(p *peer, c *serve.Connection, dest *net.TCPConn) {
	for dest != nil {
		s.Table().Add(c)
		if s.log.Enabled(p.ctx, slog.LevelDebug) {
			s.log.Debug("connection opened", "id", c.ID, "user", c.User, "destination", c.Destination, "mode", c.Mode, "peer", c.Peer)
		}
		result, over := relay.Run(p.ctx, p.carrier(), dest, s.cfg.Relay, &c.Counters, func(r relay.Result) { s.carryOn(p, c, r) })
		if !over {
			return
		}
		c, dest = s.next(p, c, result)
	}
}

// carryOn goes on where carry has stopped, after a stream that was parked has ended.
func (s *Concentrator) carryOn(p *peer, c *serve.Connection, r relay.Result) {
	c, dest := s.next(p, c, r)
	s.carry(p, c, dest)
}

// next notes the end of a stream and waits for the next one on its leg. It returns a nil
// dest when the leg has ended.
func (s *Concentrator) next(p *peer, last *serve.Connection, r relay.Result) (c *serve.Connection, dest *net.TCPConn) {
	s.Table().Remove(last)
	s.LogClosed(last, r)
	s.Table().Leave(last)
	if !r.Kept {
		p.end()
		return nil, nil
	}
	return s.follow(p, last)
}

// drop ends a leg that is not relayed.
func (s *Concentrator) drop(p *peer, c *serve.Connection, err error) {
	_ = p.conn.Close()
	p.end()
	s.report(p.conn, c, err)
}

// carried is the flow for whoever decides about the leg's paths.
func carried(c *serve.Connection, id proxy.Identity) *proxy.Flow {
	return &proxy.Flow{To: c.Destination, Who: id, How: proxy.Choice{Mode: c.Mode}}
}

// InUse returns how many places are taken, those of strangers, too.
func (s *Concentrator) InUse() int { return s.Service.InUse() + s.strangers.Len() }

// Resting returns how many legs wait for their next stream.
func (s *Concentrator) Resting() int { return len(s.resters) }

// open secures the leg, learns what the client wants, and connects there. When
// it succeeds, the user has been entered in the table.
func (s *Concentrator) open(p *peer) (*serve.Connection, *net.TCPConn, error) {
	defer s.bound(p)()
	req, err := s.greet(p)
	if err != nil {
		if errors.Is(context.Cause(p.ctx), serve.ErrDisplaced) {
			err = serve.ErrDisplaced
		}
		return nil, nil, err
	}
	full := s.welcome(p)
	req.Who.LeaveSubflows = req.LeaveSubflows()
	p.id, p.agreed = req.Who, req.Agreed
	if req.Framed {
		p.framed = relay.NewFramed(p.stream)
	}
	if p.fresh = req.Waits; p.fresh {
		if full {
			return nil, nil, s.ErrFull()
		}
		return nil, nil, release(p.stream)
	}
	return s.serveRequest(p, req, full)
}

// serveRequest connects to where a peer wants, and answers it.
func (s *Concentrator) serveRequest(p *peer, req *socks.Request, full bool) (*serve.Connection, *net.TCPConn, error) {
	c := &serve.Connection{
		Opened: time.Now(), User: req.Who.User, Grant: req.Who.Grant, Mode: req.Who.Mode, Destination: req.To,
		Peer: serve.AddrPort(p.conn.RemoteAddr()), Leg: p.conn, Stop: p.stop,
	}
	dest, err := s.reach(p, c, req, full)
	if err != nil {
		_ = req.Answer(replyTo(err))
		_ = p.stream.CloseWrite()
		// CloseWrite of crypto/tls leaves a deadline behind that fails each write. The
		// answer is still held, and release writes it.
		_ = p.conn.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
		_ = release(p.stream)
		return c, nil, err
	}
	if err := s.answer(p, req, dest); err != nil {
		s.Table().Leave(c)
		_ = dest.Close()
		return c, nil, err
	}
	return c, dest, nil
}

// reach checks the limits and connects to the destination. It gives up when the client
// leaves.
func (s *Concentrator) reach(p *peer, c *serve.Connection, req *socks.Request, full bool) (*net.TCPConn, error) {
	if full {
		return nil, &proxy.Failure{Outcome: proxy.GeneralFailure, Err: s.ErrFull(), Limit: proxy.LimitOfAll}
	}
	limit, err := s.userLimit(p.ctx, c.User)
	if err != nil {
		return nil, err
	}
	if err := s.Table().Enter(c, limit); errors.Is(err, serve.ErrUserFull) {
		s.Table().Totals.Refused.Add(1)
		return nil, &proxy.Failure{Outcome: proxy.NotAllowed, Limit: proxy.LimitOfUser, Err: fmt.Errorf("user %q has reached the limit of %d connections", c.User, limit)}
	} else if err != nil {
		return nil, err
	}
	welcomed := s.welcomeLater(p, req)
	unwatch := serve.WatchLeg(c.Leg.TCPConn, len(req.Early) > 0, p.sealed(), func() { p.cancel(serve.ErrPeerGone) })
	dest, err := s.dests.serve(p.ctx, req)
	unwatch()
	welcomed()
	_ = c.Leg.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
	if errors.Is(context.Cause(p.ctx), serve.ErrPeerGone) {
		if err == nil {
			_ = dest.Close()
		}
		err = serve.ErrPeerGone
	} else if _, resolved := errors.AsType[*resolvedError](err); err != nil && !resolved {
		s.Table().Totals.Failed.Add(1)
	}
	if err != nil {
		s.Table().Leave(c)
		return nil, err
	}
	return dest, nil
}

func (s *Concentrator) userLimit(ctx context.Context, user string) (int, error) {
	if s.cfg.UserLimit != nil {
		if own, err := s.cfg.UserLimit(ctx, user); err != nil || own > 0 {
			return own, err
		}
	}
	return s.cfg.MaxConnectionsPerUser, nil
}

// answer forwards what the client sent ahead of time and answers it.
func (s *Concentrator) answer(p *peer, req *socks.Request, dest *net.TCPConn) error {
	if early := req.Early; len(early) > 0 {
		if p.framed != nil {
			early = p.framed.Take(early)
		}
		_ = dest.SetWriteDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
		if _, err := dest.Write(early); err != nil {
			return fmt.Errorf("forwarding early data: %w", err)
		}
	}
	err := req.Answer(proxy.Succeeded, serve.AddrPort(dest.LocalAddr()))
	if err := errors.Join(err, release(p.stream)); err != nil {
		return fmt.Errorf("answering the client: %w", err)
	}
	return nil // the relay lifts the deadlines
}

// report logs why a leg was not relayed, at the level that it deserves.
func (s *Concentrator) report(leg *mptcpsock.Conn, c *serve.Connection, err error) {
	switch _, resolved := errors.AsType[*resolvedError](err); {
	case resolved:
		s.log.Debug("name looked up", "user", c.User, "name", c.Destination.Host())
	case errors.Is(err, serve.ErrPeerGone):
		s.log.Debug("connection given up", "user", c.User, "mode", c.Mode, "destination", c.Destination, "error", err)
	case c != nil:
		s.Noise(slog.LevelInfo, "connection failed", "user", c.User, "mode", c.Mode, "destination", c.Destination, "reply", proxy.OutcomeOf(err), "error", err)
	case s.Conns().Err() != nil:
		s.log.Debug("stopped before a peer had asked for anything", "peer", leg.RemoteAddr())
	case errors.Is(err, serve.ErrDisplaced):
		s.Noise(slog.LevelWarn, "turned a stranger away", "peer", leg.RemoteAddr(), "error", err)
	case errors.Is(err, proxy.ErrPeerLeft):
		s.log.Debug("peer left before it asked for anything", "peer", leg.RemoteAddr())
	default:
		s.Noise(slog.LevelWarn, "refused a peer", "peer", leg.RemoteAddr(), "error", err)
	}
}
