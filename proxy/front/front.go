// Package front wires ways in to legs, on the client: it accepts, learns from the way
// in what the application asks for, lets the rules choose how to carry it, opens a
// stream to the concentrator, answers, and hands both connections to proxy/relay.
//
//	f := front.New(front.Config{WaysIn: …, Rules: rules, Session: session, …})
//	err := f.Run(ctx)
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"mpproxy/internal/hostaddr"
	"mpproxy/proxy"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
)

// Chooser decides how a flow is carried, by where it goes, the listener that the
// application came to, and who it is. Implementations are safe for concurrent use and
// return at once.
type Chooser interface {
	Choose(f *proxy.Flow, listener netip.AddrPort) proxy.Choice
}

// Config describes the client's side of the data path.
type Config struct {
	WaysIn           []ingress.WayIn
	Rules            Chooser // nil: the mode asked for, and all paths
	Session          *leg.Session
	MaxConnections   int           // > 0
	HandshakeTimeout time.Duration // from accept to a complete request
	DrainTimeout     time.Duration // how long a stop waits for connections; 0: not at all
	// EarlyAnswer tells applications that they are connected before the concentrator was
	// asked, where the destination was reached lately.
	EarlyAnswer bool
	Relay       relay.Config
	Log         *slog.Logger
}

// Front carries what comes through the ways in to the concentrator. Create it with New
// and call Run once.
type Front struct {
	*serve.Service
	cfg     Config
	log     *slog.Logger
	reached reached
}

// New returns a Front. It listens when Run is called.
func New(cfg Config) *Front {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Front{Service: serve.New(cfg.Log, cfg.MaxConnections, cfg.DrainTimeout), cfg: cfg, log: cfg.Log}
}

// String names the task.
func (f *Front) String() string { return "front" }

// Run listens, serves until ctx is done, then drains. It returns an error if
// a listener cannot be bound.
func (f *Front) Run(ctx context.Context) error {
	var loops []serve.Loop
	var own hostaddr.Cache
	for _, way := range f.cfg.WaysIn {
		listeners, err := way.Listen(ctx)
		if err != nil {
			return errors.Join(err, serve.Close(loops))
		}
		for _, l := range listeners {
			handle := func(app *net.TCPConn, full bool, release func()) { f.handle(way, app, full, release) }
			loops = append(loops, serve.Accept(f.Service, serve.AddrPort(l.Addr()), l, l.AcceptTCP, handle))
			f.log.Info(way.String()+" is listening", "address", l.Addr())
			if at := serve.AddrPort(l.Addr()).Addr(); !own.Has(at) {
				f.log.Warn("no interface of this host has the address to listen on: nobody can connect before one has", "address", at)
			}
		}
	}
	defer f.cfg.Session.Close()
	stop := context.AfterFunc(f.Draining(), f.cfg.Session.Close)
	defer stop()
	return f.Service.Run(ctx, &f.cfg.Relay, loops)
}

// handle serves one application from its handshake to the start of the relay.
func (f *Front) handle(way ingress.WayIn, app *net.TCPConn, full bool, release func()) {
	ctx, cancel := context.WithCancelCause(f.Conns())
	c, l, err := f.open(ctx, cancel, way, app, full)
	if err != nil {
		cancel(nil)
		_ = app.Close()
		release()
		f.report(app, c, err)
		return
	}
	c.Stop = func() { cancel(nil) }
	f.Table().Add(c)
	if f.log.Enabled(ctx, slog.LevelDebug) {
		f.log.Debug("connection opened", "id", c.ID, "destination", c.Destination, "mode", c.Mode, "rule", c.Rule, "path", c.Path)
	}
	if l.Reused {
		f.pump(ctx, c, app, l, release)
		return
	}
	// The handshake has grown this goroutine's stack. An idle connection should not hold
	// it, and gets a new goroutine. A connection on a used leg is likely to be short: for
	// that, a new goroutine would cost more than the stack.
	go f.pump(ctx, c, app, l, release)
}

func (f *Front) pump(ctx context.Context, c *serve.Connection, app *net.TCPConn, l *leg.Leg, release func()) {
	end := func(result relay.Result) {
		f.cfg.Session.Finished(l, result.Kept)
		f.Table().Remove(c)
		f.LogClosed(c, result)
		c.Stop()
		release()
	}
	if result, over := relay.Run(ctx, app, l.Stream, f.cfg.Relay, &c.Counters, end); over {
		end(result)
	}
}

// open shakes hands with the application and opens its leg, and cancels ctx when the
// application leaves meanwhile. The returned Connection is nil as long as the
// application has not said where it wants.
func (f *Front) open(ctx context.Context, cancel context.CancelCauseFunc, way ingress.WayIn, app *net.TCPConn, full bool) (*serve.Connection, *leg.Leg, error) {
	_ = app.SetDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
	abort := context.AfterFunc(ctx, func() { _ = app.SetDeadline(time.Unix(1, 0)) })
	defer abort()
	flow, err := way.Flow(ctx, app)
	if err != nil {
		f.Table().Totals.CountHandshake(err)
		return nil, nil, err
	}
	flow.How = f.choose(flow, serve.AddrPort(app.LocalAddr()))
	c := &serve.Connection{
		Opened: time.Now(), User: flow.Who.User, Mode: flow.How.Mode, Rule: flow.How.Rule, Destination: flow.To,
		Peer: serve.AddrPort(app.RemoteAddr()),
	}
	if full {
		_ = flow.Reply(proxy.GeneralFailure, netip.AddrPort{})
		return c, nil, f.ErrFull()
	}
	if flow.Resolve {
		return c, nil, f.resolve(ctx, cancel, app, flow)
	}
	answered, err := f.answerEarly(app, flow)
	if err != nil {
		return c, nil, fmt.Errorf("answering the application: %w", err)
	}
	unwatch := serve.WatchPeer(app, len(flow.Early) > 0, func() { cancel(serve.ErrPeerGone) })
	l, err := f.cfg.Session.OpenStream(ctx, flow)
	unwatch()
	if errors.Is(context.Cause(ctx), serve.ErrPeerGone) {
		if err == nil {
			l.Close()
		}
		return c, nil, serve.ErrPeerGone
	}
	f.settle(app, flow, answered, err)
	if err != nil {
		f.Table().Totals.Failed.Add(1)
		if answered {
			return c, nil, fmt.Errorf("the application was told that it is connected, as the destination was reached lately, and was reset now: %w", err)
		}
		_ = app.SetWriteDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
		_ = flow.Reply(proxy.OutcomeOf(err), netip.AddrPort{})
		return c, nil, err
	}
	c.Leg, c.Path = l.Conn, l.Path
	if l.Reused {
		f.Table().Totals.Reused.Add(1)
	}
	if err := f.begin(app, flow, l, answered); err != nil {
		l.Close()
		return c, nil, err
	}
	return c, l, nil
}

// choose asks the rules, if there are any.
func (f *Front) choose(flow *proxy.Flow, listener netip.AddrPort) proxy.Choice {
	if f.cfg.Rules == nil {
		return proxy.Choice{Mode: flow.Who.Mode}
	}
	return f.cfg.Rules.Choose(flow, listener)
}

// begin answers the application, unless it was answered early, and forwards what it sent
// ahead of time.
func (f *Front) begin(app *net.TCPConn, flow *proxy.Flow, l *leg.Leg, answered bool) error {
	_ = app.SetDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
	if !answered {
		if err := flow.Reply(proxy.Succeeded, l.Bound); err != nil {
			return fmt.Errorf("answering the application: %w", err)
		}
	}
	if len(flow.Early) > 0 && !l.EarlySent {
		_ = l.Conn.SetWriteDeadline(time.Now().Add(f.cfg.HandshakeTimeout))
		if _, err := l.Stream.Write(flow.Early); err != nil {
			return fmt.Errorf("forwarding early data: %w", err)
		}
	}
	return nil // the relay lifts the deadlines
}

// report logs why a connection was not relayed, at the level that it deserves.
func (f *Front) report(app *net.TCPConn, c *serve.Connection, err error) {
	switch {
	case errors.Is(err, errResolved):
		f.log.Debug("name looked up", "name", c.Destination.Host())
	case c == nil && f.Conns().Err() != nil:
		f.log.Debug("stopped before an application had asked for anything", "peer", app.RemoteAddr())
	case errors.Is(err, proxy.ErrPeerLeft):
		f.log.Debug("an application left before it asked for anything", "peer", app.RemoteAddr())
	case c == nil:
		f.Noise(slog.LevelWarn, "refused an application", "peer", app.RemoteAddr(), "error", err)
	case errors.Is(err, serve.ErrPeerGone):
		f.log.Debug("connection given up", "destination", c.Destination, "mode", c.Mode, "error", err)
	default:
		f.Noise(slog.LevelWarn, "connection failed", "destination", c.Destination, "mode", c.Mode, "reply", proxy.OutcomeOf(err), "error", err)
	}
}
