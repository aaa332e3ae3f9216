// Package serve holds what the front and the concentrator share: accepting under a
// limit, the table of connections, and a stop that lets connections end.
//
//	s := serve.New(log, 1000, time.Minute)
//	loop := serve.Accept(s, addr, listener, listener.AcceptTCP, handle)
//	err := s.Run(ctx, &relayConfig, []serve.Loop{loop})
//
// It does not know what the connections carry.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/mptcpsock"
	"mpproxy/proxy/relay"
)

// acceptPause bounds how long a listener waits after an accept error such as
// EMFILE before it tries again.
const acceptPause = time.Second

// refusalSlots bounds how many connections beyond the limit are told so in
// the protocol at the same time; more are closed at once.
const refusalSlots = 64

// keepAlive is for the plain TCP connections to applications and destinations,
// and the same as mptcpsock.DefaultKeepAlive on the leg: with Go's 15 s, ten
// thousand idle connections would send a thousand probes a second.
var keepAlive = net.KeepAliveConfig{
	Enable: true, Idle: mptcpsock.DefaultKeepAlive, Interval: 15 * time.Second,
	Count: -1, // the system's
}

// Service owns a listener's connections: their limit, their table, and the
// goroutines that a stop waits for. Create it with New.
type Service struct {
	log     *slog.Logger
	noise   *noise // about what went wrong
	ends    *noise // about connections that went well
	table   *Table
	limit   chan struct{} // one element a connection, from accept to end
	refusal chan struct{} // one element a connection that is being told of the limit
	drain   time.Duration
	wg      sync.WaitGroup
	ready   chan struct{}
	addrs   []netip.AddrPort // bound; set before ready is closed

	// conns ends when connections must: after draining, which follows the end of
	// accepting. resting ends when draining begins: no leg has to wait for another
	// stream from then on.
	conns, resting context.Context
	abort, endRest context.CancelFunc
}

// New returns a Service for up to limit connections, at least 1. A stop waits for up
// to drain until they have ended. A nil log logs nothing.
func New(log *slog.Logger, limit int, drain time.Duration) *Service {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conns, abort := context.WithCancel(context.Background())
	resting, endRest := context.WithCancel(conns)
	return &Service{
		log:   log,
		noise: newNoise(log, noisePerSecond, noiseBurst),
		ends:  newNoise(log, endsPerSecond, endsBurst),
		table: NewTable(), drain: drain,
		limit:   make(chan struct{}, limit),
		refusal: make(chan struct{}, refusalSlots),
		ready:   make(chan struct{}),
		conns:   conns, abort: abort, resting: resting, endRest: endRest,
	}
}

// Ready is closed once every listener is bound.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Addrs returns the addresses that are listened on, with the port that the
// kernel chose where the configuration left that to it. It is valid once Ready
// is closed.
func (s *Service) Addrs() []netip.AddrPort { return s.addrs }

// Abort ends all connections at once, without draining.
func (s *Service) Abort() { s.abort() }

// Table returns the connections.
func (s *Service) Table() *Table { return s.table }

// Conns ends when the connections must end.
func (s *Service) Conns() context.Context { return s.conns }

// Draining ends as soon as no connection is accepted any more.
func (s *Service) Draining() context.Context { return s.resting }

// InUse returns how many places are taken, by connections that are shaking hands, too.
func (s *Service) InUse() int { return len(s.limit) + len(s.refusal) }

// ErrFull says that there is no place for another connection.
func (s *Service) ErrFull() error {
	return fmt.Errorf("the limit of %d connections is reached: raise [limits] max_connections, or the descriptor limit (ulimit -n)", cap(s.limit))
}

// Handle serves one accepted connection, which it owns. With full set, the limit is
// reached: the peer is to be told so. release must be called once, when the connection
// has ended.
type Handle[C net.Conn] func(conn C, full bool, release func())

// Loop accepts at one listener.
type Loop struct {
	addr  netip.AddrPort
	close func() error
	run   func(context.Context) error
}

// Accept returns the loop that has handle serve, in a goroutine of its own, each
// connection that accept returns.
func Accept[C net.Conn](s *Service, addr netip.AddrPort, l io.Closer, accept func() (C, error), handle Handle[C]) Loop {
	return Loop{addr, l.Close, func(ctx context.Context) error {
		return acceptLoop(ctx, s, accept, func(conn C) {
			s.admit(conn.Close, func(full bool, release func()) { handle(conn, full, release) })
		})
	}}
}

// AcceptStrangers is Accept without the limit: admit gives the peer a place elsewhere (see
// Strangers and Claim), and does not block. done must be called once, when the connection
// has ended.
func AcceptStrangers[C net.Conn](s *Service, addr netip.AddrPort, l io.Closer, accept func() (C, error), admit func(conn C, done func())) Loop {
	return Loop{addr, l.Close, func(ctx context.Context) error {
		return acceptLoop(ctx, s, accept, func(conn C) { admit(conn, s.Track()) })
	}}
}

// acceptLoop accepts until the listener is closed. No other error ends it: when
// descriptors are short, it waits and tries again.
func acceptLoop[C net.Conn](ctx context.Context, s *Service, accept func() (C, error), admit func(C)) error {
	pause := 5 * time.Millisecond
	for {
		conn, err := accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if !errors.Is(err, syscall.ECONNABORTED) {
				s.log.Warn("cannot accept a connection, trying again", "error", err, "pause", pause)
			}
			if !Sleep(ctx, pause) {
				return nil
			}
			pause = min(2*pause, acceptPause)
			continue
		}
		pause = 5 * time.Millisecond
		admit(conn)
	}
}

// admit starts handle in a goroutine of its own if there is room, also for
// saying that there is none, and closes the connection otherwise.
func (s *Service) admit(drop func() error, handle func(full bool, release func())) {
	slots := s.limit
	select {
	case s.limit <- struct{}{}:
	default:
		slots = s.refusal
		s.table.Totals.Refused.Add(1)
		select {
		case s.refusal <- struct{}{}:
		default:
			_ = drop()
			return
		}
	}
	s.wg.Add(1)
	full := slots == s.refusal
	go handle(full, func() {
		<-slots
		s.wg.Done()
	})
}

// Claim takes a place for a connection that was let in without one, and returns how
// to give it back. With full set there is none, and only the goroutine is counted.
func (s *Service) Claim() (full bool, release func()) {
	select {
	case s.limit <- struct{}{}:
		done := s.Track()
		return false, func() { <-s.limit; done() }
	default:
		s.table.Totals.Refused.Add(1)
		return true, s.Track()
	}
}

// Track has a stop wait until done is called.
func (s *Service) Track() (done func()) {
	s.wg.Add(1)
	return s.wg.Done
}

// Run runs the loops until ctx is done, then stops accepting and drains. Connections
// on which nothing moves are parked meanwhile.
func (s *Service) Run(ctx context.Context, cfg *relay.Config, loops []Loop) error {
	parking, err := relay.NewParking(keepAlive)
	if err != nil {
		return errors.Join(err, Close(loops))
	}
	defer parking.Close()
	cfg.Parking = parking
	g, loopCtx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		s.addrs = append(s.addrs, loop.addr)
		g.Go(func() error { return loop.run(loopCtx) })
	}
	g.Go(func() error {
		<-loopCtx.Done()
		return Close(loops)
	})
	close(s.ready)
	err = g.Wait()
	s.finish()
	return err
}

// finish lets the live connections end by themselves until the drain time is
// over or Abort is called, then ends them and waits until they have.
func (s *Service) finish() {
	s.endRest()
	done := make(chan struct{})
	go s.waitForAll(done)
	if n := s.table.Len(); n > 0 && s.drain > 0 {
		s.log.Info("waiting for connections to end; a second signal ends them at once", "connections", n, "at_most", s.drain)
	}
	t := time.NewTimer(s.drain)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-s.conns.Done():
	}
	if n := s.table.Len(); n > 0 {
		s.log.Warn("ending connections that are still open", "connections", n)
	}
	s.abort()
	<-done
}

// waitForAll tells finish when the last connection has ended.
func (s *Service) waitForAll(done chan<- struct{}) {
	s.wg.Wait()
	close(done)
}

// Close closes the listeners of loops that are not run.
func Close(loops []Loop) error {
	var errs []error
	for _, l := range loops {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// ListenError adds to err what can be done about it.
func ListenError(addr netip.AddrPort, err error) error {
	var advice string
	switch {
	case errors.Is(err, os.ErrPermission):
		advice = ": ports below 1024 need privileges, choose a higher one"
	case errors.Is(err, syscall.EADDRINUSE):
		advice = ": another program (or another mpproxy) uses this port, stop it or choose another port"
	}
	return fmt.Errorf("cannot listen on %s: %w%s", addr, err, advice)
}

// AddrPort returns the address of a TCP socket, unmapped; invalid for another one.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Sleep waits for d and reports whether ctx is still alive.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
