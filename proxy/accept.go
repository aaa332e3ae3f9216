package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
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

// service is what front and concentrator share: listeners, the connection
// limit, and the goroutines that a stop waits for.
type service struct {
	log     *slog.Logger
	noise   *noise // about what went wrong
	ends    *noise // about connections that went well
	table   *Table
	limit   chan struct{} // one element a connection, from accept to end
	refusal chan struct{}
	drain   time.Duration
	wg      sync.WaitGroup
	ready   chan struct{}
	addrs   []netip.AddrPort // bound; set before ready is closed

	// conns lives as long as connections may: beyond the end of accepting, up
	// to the end of draining. resting ends when draining begins: nothing is to
	// come on the legs that wait for their next stream.
	conns, resting context.Context
	abort, endRest context.CancelFunc
}

func newService(log *slog.Logger, limit int, drain time.Duration) *service {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conns, abort := context.WithCancel(context.Background())
	resting, endRest := context.WithCancel(conns)
	return &service{
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
func (s *service) Ready() <-chan struct{} { return s.ready }

// Addrs returns the addresses that are listened on, with the port that the
// kernel chose where the configuration left that to it. It is valid once Ready
// is closed.
func (s *service) Addrs() []netip.AddrPort { return s.addrs }

// Abort ends all connections at once, without draining.
func (s *service) Abort() { s.abort() }

// Table returns the connections.
func (s *service) Table() *Table { return s.table }

// serveFunc handles one accepted connection, which it owns. With full set, the
// limit is reached: the peer is to be told so. release must be called once,
// when the connection has ended.
type serveFunc[C net.Conn] func(conn C, full bool, release func())

// acceptLoop accepts until the listener is closed. It outlives every error of
// accept: out of descriptors is a reason to wait, not to stop.
func acceptLoop[C net.Conn](ctx context.Context, s *service, accept func() (C, error), serve serveFunc[C]) error {
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
			if !sleep(ctx, pause) {
				return nil
			}
			pause = min(2*pause, acceptPause)
			continue
		}
		pause = 5 * time.Millisecond
		s.admit(conn.Close, func(full bool, release func()) {
			serve(conn, full, release)
		})
	}
}

// admit starts handle in a goroutine of its own if there is room, also for
// saying that there is none, and closes the connection otherwise.
func (s *service) admit(drop func() error, handle func(full bool, release func())) {
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

// claim takes a place for a connection that was not accepted just now, and
// returns how to give it back. full: there is none, as for admit.
func (s *service) claim() (full bool, release func()) {
	s.wg.Add(1)
	select {
	case s.limit <- struct{}{}:
		return false, func() { <-s.limit; s.wg.Done() }
	default:
		s.table.Totals.Refused.Add(1)
		return true, s.wg.Done
	}
}

// serve runs one accept loop for each listener until ctx is done, then stops
// accepting and drains. It opens the lot in which the connections of cfg are parked.
func (s *service) serve(ctx context.Context, cfg *relay.Config, listeners []io.Closer, loops []func(context.Context) error) error {
	lot, err := relay.NewLot(keepAlive)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer lot.Close()
	cfg.Lot = lot
	g, loopCtx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		g.Go(func() error { return loop(loopCtx) })
	}
	g.Go(func() error {
		<-loopCtx.Done()
		return closeAll(listeners)
	})
	close(s.ready)
	err = g.Wait()
	s.finish()
	return err
}

// finish lets the live connections end by themselves until the drain time is
// over or Abort is called, then ends them and waits until they have.
func (s *service) finish() {
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
func (s *service) waitForAll(done chan<- struct{}) {
	s.wg.Wait()
	close(done)
}

func closeAll(cs []io.Closer) error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
