package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"mpproxy/proxy/relay"
)

// FrontConfig describes the SOCKS5 server that applications talk to.
type FrontConfig struct {
	Listen           []netip.AddrPort
	Auth             Authenticator
	Rules            Chooser // nil: the mode asked for, and all paths
	Upstream         *Upstream
	MaxConnections   int           // > 0
	HandshakeTimeout time.Duration // from accept to a complete request
	DrainTimeout     time.Duration // how long a stop waits for connections; 0: not at all
	Relay            relay.Config
	Log              *slog.Logger
}

// Front is the SOCKS5 server of the client. Create it with NewFront and call
// Run once.
type Front struct {
	*service
	cfg   FrontConfig
	hands *handshaker
}

// NewFront returns a Front. It listens when Run is called.
func NewFront(cfg FrontConfig) *Front {
	return &Front{
		service: newService(cfg.Log, cfg.MaxConnections, cfg.DrainTimeout),
		cfg:     cfg,
		hands:   newHandshaker(cfg.Auth, false, nil),
	}
}

// String names the task.
func (f *Front) String() string { return "SOCKS5 front" }

// Run listens, serves until ctx is done, then drains. It returns an error if
// a listener cannot be bound.
func (f *Front) Run(ctx context.Context) error {
	var closers []io.Closer
	var loops []func(context.Context) error
	for _, addr := range f.cfg.Listen {
		// Applications on the loopback speak plain TCP: no MPTCP here (Go
		// would switch it on by default since 1.24).
		lc := net.ListenConfig{KeepAlive: -1} // the relay sees to it
		lc.SetMultipathTCP(false)
		network := "tcp6"
		if addr.Addr().Unmap().Is4() {
			network = "tcp4" // 0.0.0.0 must not open [::] as well
		}
		l, err := lc.Listen(ctx, network, addr.String())
		if err != nil {
			return errors.Join(listenError(addr, err), closeAll(closers))
		}
		tl := l.(*net.TCPListener)
		closers = append(closers, tl)
		f.addrs = append(f.addrs, addrPort(tl.Addr()))
		loops = append(loops, func(ctx context.Context) error {
			return acceptLoop(ctx, f.service, tl.AcceptTCP, f.handle)
		})
		f.log.Info("SOCKS5 proxy is listening", "address", tl.Addr())
	}
	defer f.cfg.Upstream.idle.close()
	stop := context.AfterFunc(f.resting, f.cfg.Upstream.idle.close)
	defer stop()
	return f.serve(ctx, &f.cfg.Relay, closers, loops)
}

func listenError(addr netip.AddrPort, err error) error {
	var advice string
	switch {
	case errors.Is(err, os.ErrPermission):
		advice = ": ports below 1024 need privileges, choose a higher one"
	case isAddrInUse(err):
		advice = ": another program (or another mpproxy) uses this port, stop it or choose another port"
	}
	return fmt.Errorf("cannot listen on %s: %w%s", addr, err, advice)
}

// handle serves one application from its handshake to the start of the relay.
func (f *Front) handle(app *net.TCPConn, full bool, release func()) {
	ctx, cancel := context.WithCancelCause(f.conns)
	c, leg, err := f.open(ctx, cancel, app, full)
	if err != nil {
		cancel(nil)
		_ = app.Close()
		release()
		f.report(app, c, err)
		return
	}
	c.stop = func() { cancel(nil) }
	f.table.add(c)
	if f.log.Enabled(ctx, slog.LevelDebug) {
		f.log.Debug("connection opened", "id", c.ID, "destination", c.Destination, "mode", c.Mode, "rule", c.Rule, "path", c.Path)
	}
	if leg.Reused {
		f.pump(ctx, c, app, leg, release)
		return
	}
	// A goroutine of its own: the handshake has grown this one's stack, and an idle
	// connection should not hold it. One that follows another is likely to be as
	// short, and a new goroutine would cost it more.
	go f.pump(ctx, c, app, leg, release)
}

func (f *Front) pump(ctx context.Context, c *Connection, app *net.TCPConn, leg *Leg, release func()) {
	end := func(result relay.Result) {
		f.cfg.Upstream.finished(leg, result.Kept)
		f.table.remove(c)
		f.logClosed(c, result)
		c.stop()
		release()
	}
	if result, over := relay.Run(ctx, app, leg.Stream, f.cfg.Relay, &c.Counters, end); over {
		end(result)
	}
}

// open shakes hands with the application and opens its leg, and cancels ctx when the
// application leaves meanwhile. The returned Connection is nil as long as the
// application has not said where it wants.
func (f *Front) open(ctx context.Context, cancel context.CancelCauseFunc, app *net.TCPConn, full bool) (*Connection, *Leg, error) {
	_ = app.SetDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
	abort := context.AfterFunc(ctx, func() { _ = app.SetDeadline(time.Unix(1, 0)) })
	defer abort()
	req, err := f.hands.handshake(app)
	if err != nil {
		if !errors.Is(err, ErrPeerLeft) {
			f.table.Totals.countHandshake(err)
		}
		return nil, nil, err
	}
	choice := choose(f.cfg.Rules, req.to, addrPort(app.LocalAddr()), req.Identity)
	c := &Connection{
		Opened: time.Now(), User: req.User, Mode: choice.Mode, Rule: choice.Rule, Destination: req.to,
		Peer: addrPort(app.RemoteAddr()),
	}
	if full {
		_ = req.answer(app, ReplyGeneralFailure, netip.AddrPort{})
		return c, nil, errFull(cap(f.limit))
	}
	unwatch := watchPeer(app, len(req.early) > 0, func() { cancel(errPeerGone) })
	leg, err := f.cfg.Upstream.Open(ctx, Stream{req.to, req.User, choice})
	unwatch()
	if errors.Is(context.Cause(ctx), errPeerGone) {
		if err == nil {
			leg.Close()
		}
		return c, nil, errPeerGone
	}
	if err != nil {
		f.table.Totals.Failed.Add(1)
		_ = app.SetWriteDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
		_ = req.answer(app, replyFor(err), netip.AddrPort{})
		return c, nil, err
	}
	c.Leg, c.Path = leg.Conn, leg.Path
	if leg.Reused {
		f.table.Totals.Reused.Add(1)
	}
	if err := f.begin(app, req, leg); err != nil {
		leg.Close()
		return c, nil, err
	}
	return c, leg, nil
}

// begin answers the application and forwards what it sent ahead of time.
func (f *Front) begin(app *net.TCPConn, req *request, leg *Leg) error {
	_ = app.SetDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
	if err := req.answer(app, ReplySucceeded, leg.Bound); err != nil {
		return fmt.Errorf("answering the application: %w", err)
	}
	if len(req.early) > 0 {
		_ = leg.Conn.SetWriteDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
		if _, err := leg.Stream.Write(req.early); err != nil {
			return fmt.Errorf("forwarding early data: %w", err)
		}
	}
	return nil // the relay lifts the deadlines
}

// report logs why a connection was not relayed, at the level that it deserves.
func (f *Front) report(app *net.TCPConn, c *Connection, err error) {
	switch {
	case c == nil && f.conns.Err() != nil:
		f.log.Debug("stopped before an application had asked for anything", "peer", app.RemoteAddr())
	case errors.Is(err, ErrPeerLeft):
		f.log.Debug("an application left before it asked for anything", "peer", app.RemoteAddr())
	case c == nil:
		f.noise.line(slog.LevelWarn, "refused an application", "peer", app.RemoteAddr(), "error", err)
	case errors.Is(err, errPeerGone):
		f.log.Debug("connection given up", "destination", c.Destination, "mode", c.Mode, "error", err)
	default:
		f.noise.line(slog.LevelWarn, "connection failed", "destination", c.Destination, "mode", c.Mode, "reply", replyFor(err), "error", err)
	}
}

// logClosed says in one line what became of a connection. It is said of many, so
// nothing is left to fmt.
func (s *service) logClosed(c *Connection, r relay.Result) {
	lines := s.ends
	if r.Err != nil {
		lines = s.noise
	}
	leftOut, ok := lines.allow(slog.LevelInfo)
	if !ok {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(
		attrs,
		slog.Uint64("id", c.ID), slog.String("destination", c.Destination.String()), slog.String("mode", c.Mode), slog.String("path", c.Path),
		slog.Uint64("sent_bytes", c.Counters.AToB.Load()), slog.Uint64("received_bytes", c.Counters.BToA.Load()),
		slog.Duration("duration", time.Since(c.Opened).Round(time.Millisecond)), slog.String("reason", r.Reason.String()),
	)
	if c.User != "" {
		attrs = append(attrs, slog.String("user", c.User))
	}
	if c.Rule != "" {
		attrs = append(attrs, slog.String("rule", c.Rule))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.Any("error", r.Err))
	}
	if leftOut > 0 {
		attrs = append(attrs, slog.Uint64(leftOutKey, leftOut))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "connection closed", attrs...)
}

func errFull(limit int) error {
	return fmt.Errorf("the limit of %d connections is reached: raise [limits] max_connections, or the descriptor limit (ulimit -n)", limit)
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
