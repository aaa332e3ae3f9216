package relay

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Run copies both ways between a and b until both directions have ended, an
// error, a timeout, or ctx's end. It owns both from the call on: nobody else
// may read, write, close them or set their deadlines; they are closed when the
// connection is over, but for a [Framed] one that another stream can follow. c may be
// nil.
//
// Run uses the caller's goroutine and one other, and a third where one direction goes
// on alone for longer than a moment. Where cfg names a [Parking], it returns with over unset
// when nothing has moved for two seconds; the connection goes on in goroutines of its own
// once something does, and resumed is called in one of them when it is over.
//
// A goroutine that has done a TLS handshake or parsed a request has grown its stack,
// which the runtime gives back only at garbage collections: call Run from a fresh
// goroutine, or do the handshake in one, where thousands of connections wait.
func Run(ctx context.Context, a, b Stream, cfg Config, c *Counters, resumed func(Result)) (res Result, over bool) {
	s := newSession(a, b, cfg, c)
	s.resumed = resumed
	return s.run(ctx)
}

// newSession sets fields one by one: a composite literal would be built on the
// stack, which would grow to 4 KiB for good.
func newSession(a, b Stream, cfg Config, c *Counters) *session {
	if c == nil {
		c = new(Counters)
	}
	s := new(session)
	s.counters = c
	s.cfg.IdleTimeout = orDefault(cfg.IdleTimeout, DefaultIdleTimeout)
	s.cfg.HalfCloseTimeout = orDefault(cfg.HalfCloseTimeout, DefaultHalfCloseTimeout)
	s.cfg.MaxLifetime = orDefault(cfg.MaxLifetime, DefaultMaxLifetime)
	s.start = stamp()
	s.a.init(a)
	s.b.init(b)
	if s.a.kind != kindOther && s.b.kind != kindOther {
		s.place = cfg.Parking
	}
	s.fwd.init(s, &s.a, &s.b, &c.AToB)
	s.rev.init(s, &s.b, &s.a, &c.BToA)
	return s
}

// never is the stamp of what is not to come.
const never = math.MaxInt64

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// session is one relayed connection.
type session struct {
	a, b     end
	fwd, rev direction // a to b, b to a
	cfg      Config    // resolved
	counters *Counters
	start    int64        // stamp
	stop     func() bool  // ends the wait for the context's end
	resumed  func(Result) // told of the end of one that was parked
	place    *Parking     // nil: it is never parked

	others  sync.WaitGroup // the goroutines beside the first
	parking atomic.Bool    // pumps are asked to return from their wait; set under mu

	mu      sync.Mutex // guards what follows
	ended   int        // directions that ended cleanly
	first   *direction // that ended
	halfAt  int64      // stamp of its end
	watched bool       // a goroutine is in first.watch
	reason  Reason     // 0 while nothing has gone wrong
	err     error
	timer   *time.Timer
	over    bool  // both pumps are done, the timer is not needed any more
	triedAt int64 // stamp of the last attempt to park
	probing bool  // keepAlive has been here
	// forgotten: the source of first, which had ended, was found to be gone.
	forgotten bool
	parked    bool   // it waits in place, and no goroutine is about
	placeID   uint64 // its name there
}

func (s *session) run(ctx context.Context) (Result, bool) {
	s.counters.last.Store(s.start)
	s.setDeadlines(time.Time{}) // a handshake's deadline may be left over
	if ctx.Done() != nil {
		s.stop = context.AfterFunc(ctx, func() { s.abort(Cancelled, context.Cause(ctx)) })
	}
	s.armTimer()
	return s.pump()
}

// pump pumps both directions until the connection is over, or parked.
func (s *session) pump() (Result, bool) {
	for {
		s.others.Add(1)
		go s.pumpBeside(&s.rev)
		s.fwd.pump()
		s.others.Wait()
		if !s.yielded() {
			return s.finish(), true
		}
		if s.park() {
			return Result{}, false
		}
	}
}

// pumpBeside pumps one direction in a goroutine beside the first.
func (s *session) pumpBeside(d *direction) {
	defer s.others.Done()
	d.pump()
}

// finish closes both connections and says what happened.
func (s *session) finish() Result {
	if s.stop != nil {
		s.stop()
	}
	s.mu.Lock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	reason, err := s.reason, s.err
	s.mu.Unlock()
	kept := false
	switch {
	case reason == 0:
		reason = BothEnded
		kept = s.a.finish()
		kept = s.b.finish() || kept
	case s.forgotten:
		s.first.src.release()
		s.first.src.reset()
		s.first.dst.dismiss()
	default:
		s.a.release()
		s.b.release()
		s.a.reset()
		s.b.reset()
	}
	return Result{AToB: s.fwd.moved, BToA: s.rev.moved, Reason: reason, Err: err, Kept: kept}
}

// abort ends the connection early. The first reason is the one that counts.
// Deadlines in the past wake both pumps; run closes when they have returned.
func (s *session) abort(r Reason, err error) {
	s.mu.Lock()
	if s.reason != 0 || s.ended == 2 {
		s.mu.Unlock() // what has ended well must not be reset any more
		return
	}
	s.reason, s.err = r, err
	s.mu.Unlock()
	s.setDeadlines(past)
	s.wake()
}

func (s *session) setDeadlines(t time.Time) {
	_ = s.a.stream.SetDeadline(t) // fails only on a closed connection
	_ = s.b.stream.SetDeadline(t)
}

// directionEnded notes that one direction has delivered its end of data.
func (s *session) directionEnded(d *direction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	if s.ended == 1 {
		s.first, s.halfAt = d, stamp()
		s.rearm(s.halfAt)
		return
	}
	if s.watched {
		_ = s.first.src.stream.SetReadDeadline(past)
	}
}

// isHalf reports whether one direction has ended.
func (s *session) isHalf() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended == 1
}

// armTimer starts the timer, unless there is no limit at all.
func (s *session) armTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rearm(s.start)
}

// onTimer ends the connection when a limit is reached; otherwise it looks again
// when the next one may be. There is no timer work for each byte moved.
func (s *session) onTimer() {
	s.mu.Lock()
	s.keepAlive()
	now := stamp()
	if s.toWatch() && now >= s.halfAt+int64(watchDelay) {
		s.watched = true
		if s.place != nil {
			s.first.src.askWhetherThere(s.place.keepAlive.Interval, s.first.moved)
		}
		s.others.Add(1)
		go s.watchFirst()
	}
	if at, ok := s.parkAt(); ok && now >= at {
		s.tryPark(now)
	}
	r, limit := s.rearm(now)
	s.mu.Unlock()
	if r != 0 {
		s.abort(r, fmt.Errorf("relay: %v after %v: %w", r, limit, os.ErrDeadlineExceeded))
	}
}

// keepAlive has the kernel look after both connections. Most sessions are over before the
// timer first fires, and are spared the system calls. s.mu is held.
func (s *session) keepAlive() {
	if s.place != nil && !s.probing {
		s.probing = true
		s.a.keepAlive(s.place.keepAlive)
		s.b.keepAlive(s.place.keepAlive)
	}
}

// toWatch reports whether a direction goes on alone, and nobody watches the other
// one's source. s.mu is held.
func (s *session) toWatch() bool {
	return s.ended == 1 && !s.watched && s.reason == 0 && s.first.src.raw != nil
}

func (s *session) watchFirst() {
	defer s.others.Done()
	s.first.watch()
}

// rearm sets the timer to the next time at which a limit may be reached, or
// returns the limit that has been reached at now. s.mu is held.
func (s *session) rearm(now int64) (Reason, time.Duration) {
	if s.over || s.reason != 0 {
		return 0, 0
	}
	next, r, limit := s.nextLimit()
	if r != 0 && now >= next {
		return r, limit
	}
	if r == 0 {
		next = never
	}
	if s.toWatch() {
		next = min(next, s.halfAt+int64(watchDelay))
	}
	if at, ok := s.parkAt(); ok {
		next = min(next, at)
	}
	if next == never {
		return 0, 0
	}
	d := time.Duration(next - now)
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.onTimer)
	} else {
		s.timer.Reset(d)
	}
	return 0, 0
}

// nextLimit returns the limit that is reached first if no byte moves from now
// on, and when. The reason is 0 when there is no limit. s.mu is held.
func (s *session) nextLimit() (at int64, r Reason, limit time.Duration) {
	quiet, r := s.cfg.IdleTimeout, IdleTimeout
	since := s.counters.last.Load()
	if s.ended > 0 {
		quiet, r = s.cfg.HalfCloseTimeout, HalfCloseTimeout
		since = max(since, s.halfAt)
	}
	at, limit = since+int64(quiet), quiet
	if quiet == 0 {
		r = 0
	}
	if l := s.cfg.MaxLifetime; l > 0 {
		if end := s.start + int64(l); r == 0 || end < at {
			at, r, limit = end, Lifetime, l
		}
	}
	return at, r, limit
}

// watchDelay is how long a direction may go on alone before the other one's source is
// watched: most are over by then, and watching costs a goroutine that has to be woken.
const watchDelay = 50 * time.Millisecond

// watch waits, after src's end of data, for the other direction to end, and
// ends the session when src is reset meanwhile. Nobody reads src any more, so
// without it a reset would go unnoticed, and the connection would linger in
// CLOSE-WAIT, until the other direction has something to write.
func (d *direction) watch() {
	var errno int
	err := d.src.raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd)}} // hang-up and error are always reported
		if n, err := unix.Poll(p, 0); err != nil || n == 0 {
			return false
		}
		// A hang-up without an error: the other direction just ended, too.
		errno, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return true
	})
	if err == nil && errno != 0 {
		d.s.forget()
		d.fail("read", d.src, syscall.Errno(errno))
	}
}

// forget notes that nobody is at the source of the first direction any more, if nothing
// else has ended the session.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = s.reason == 0 && s.ended == 1
}
