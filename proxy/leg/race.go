package leg

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
)

// A first subflow can start on any path, and the best-ranked one may be dead
// although it is up. So the ways are raced, each a little later than the one
// before it (RFC 8305 §5 for addresses, here for paths too). What counts is not the TCP
// handshake: a captive portal answers that, too. The first way on which somebody has
// shown the concentrator's key wins.
const (
	raceDelay        = mptcpsock.DefaultRaceDelay
	raceDelayMetered = time.Second // a metered path is worth waiting longer for the other
	// raceDelayUnknown is for paths that nobody has measured yet: it may be the one
	// with the least round trip.
	raceDelayUnknown = 20 * time.Millisecond
	// reserveWait is how long a leg without MPTCP waits for another way to bring one with
	// it: what a new connection may lose at most.
	reserveWait = time.Second
)

// attempt is one connect of a race.
type attempt struct {
	Candidate
	to      netip.AddrPort
	doubted bool // it led nowhere lately, or not with MPTCP
}

// plan orders the attempts: as the candidates are, those that are left alone last, and
// for each path the addresses that its source address can reach. Without any path the
// kernel's routing decides.
func plan(cands []Candidate, addrs []netip.Addr, port uint16, leftAlone func(path string, to netip.Addr) bool) []attempt {
	if len(cands) == 0 {
		cands = []Candidate{{Path: "default route"}}
	}
	var good, bad []attempt
	for _, c := range cands {
		for _, a := range addrs {
			if c.Source.IsValid() && c.Source.Is4() != a.Is4() {
				continue
			}
			at := attempt{Candidate: c, to: netip.AddrPortFrom(a, port)}
			if at.doubted = leftAlone(c.Path, a); at.doubted {
				bad = append(bad, at)
			} else {
				good = append(good, at)
			}
		}
	}
	return append(good, bad...)
}

// connect reaches the concentrator over the first way that leads to it, of those over
// cands. f is nil for a leg that will carry nothing.
func (s *Session) connect(ctx context.Context, f *proxy.Flow, cands []Candidate) (*Leg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := s.names.lookup(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	attempts := s.freeLocal(plan(cands, addrs, s.cfg.Port, s.cfg.Paths.LeftAlone))
	if len(attempts) == 0 {
		return nil, fmt.Errorf("%w: %w %s", ErrUnreachable, errNoFamily, families(addrs))
	}
	if s.names.literal() {
		return s.race(ctx, f, attempts, nil)
	}
	return s.race(ctx, f, attempts, func(ctx context.Context) (*Leg, error) {
		return s.elsewhere(ctx, f, cands, addrs)
	})
}

// families says which addresses a concentrator has: "IPv4, as the concentrator's
// 203.0.113.1".
func families(addrs []netip.Addr) string {
	name := "IPv6"
	if addrs[0].Is4() {
		name = "IPv4"
	}
	return fmt.Sprintf("%s, as the concentrator's %v", name, addrs[0])
}

// report tells what was met on the way of an attempt.
func (s *Session) report(a attempt, r Result) {
	switch r {
	case Stalled, ForeignKey, Broken:
		if !s.cfg.Paths.LeftAlone(a.Path, a.to.Addr()) { // else it has been said
			s.log.Warn("a path does not lead to the concentrator: trying the others first", "path", a.Path, "address", a.to, "because", r.Explain())
		}
	}
	s.cfg.Paths.Report(a.Path, a.to.Addr(), r)
}

// freeLocal lets attempts to an address of this host leave over any interface: the
// kernel carries them over lo, and a socket that is bound to another device never
// gets the answer.
func (s *Session) freeLocal(attempts []attempt) []attempt {
	for i, a := range attempts {
		if s.own.Has(a.to.Addr()) {
			attempts[i].Interface = ""
		}
	}
	return attempts
}

// race tries the attempts one after the other until one succeeds, and reports what
// that has shown of each. elsewhere joins when all are silent, or have failed; nil:
// nothing does.
func (s *Session) race(ctx context.Context, f *proxy.Flow, attempts []attempt, elsewhere func(context.Context) (*Leg, error)) (*Leg, error) {
	r := race{session: s, flow: f, attempts: attempts, elsewhere: elsewhere, seen: make([]progress, len(attempts))}
	n := len(attempts)
	if elsewhere != nil {
		n++
	}
	leg, won, errs := mptcpsock.Race(ctx, n, r.delay, r.try)
	failed := r.settle(ctx, won, errs)
	switch {
	case won >= 0:
		return leg.Leg, nil
	case len(failed) == 0:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	return nil, failed
}

// race is what the attempts of one race have in common.
type race struct {
	session  *Session
	flow     *proxy.Flow // nil: a leg that carries nothing
	attempts []attempt
	seen     []progress // of each attempt
	// elsewhere is the last way: to addresses that nobody knows yet; nil: there is none.
	elsewhere func(context.Context) (*Leg, error)
}

// progress is how far an attempt has come.
type progress struct {
	// When it began and when its TCP handshake had succeeded, in nanoseconds since 1970;
	// 0: not yet.
	began, heard atomic.Int64
	held         atomic.Bool // it has brought a leg without MPTCP, which waits
}

// contender is a leg in a race. It is closed when another one has won.
type contender struct{ *Leg }

func (c contender) Close() error {
	c.abandon()
	return nil
}

// delay is how long attempt i waits for the one before it, whose TLS takes a round trip
// more than its TCP.
func (r *race) delay(i int) time.Duration {
	if i == len(r.attempts) {
		return relookWait
	}
	return stagger(r.attempts[i]) + r.attempts[i-1].RTT
}

// try dials a way, and lets whoever answers show the concentrator's key. A leg without
// MPTCP waits for a while where another way may bring one with it.
func (r *race) try(ctx context.Context, i int) (contender, error) {
	if i == len(r.attempts) {
		leg, err := r.elsewhere(ctx)
		return contender{leg}, err
	}
	s, a := r.session, r.attempts[i]
	r.seen[i].began.Store(time.Now().UnixNano())
	d := mptcpsock.Dialer{LocalAddr: a.Source, Interface: a.Interface, ReceiveBuffer: s.cfg.ReceiveBuffer}
	conn, err := d.Dial(ctx, a.to)
	if err != nil {
		return contender{}, err
	}
	r.seen[i].heard.Store(time.Now().UnixNano())
	leg := &Leg{Stream: conn, below: conn, Conn: conn, Path: a.Path, way: a}
	if r.flow != nil {
		flow := r.flow
		if leg.alone.is = a.Alone; a.Alone {
			flow = onPath(flow, a.Path)
		}
		leg.observed = proxy.Observe(s.cfg.Observer, conn, flow)
	}
	if err := s.secure(ctx, leg); err != nil {
		leg.abandon()
		return contender{}, &chainError{withCause(ctx, err)}
	}
	if leg.plain && r.promising(i) {
		r.seen[i].held.Store(true)
		select {
		case <-time.After(reserveWait):
		case <-ctx.Done():
			leg.abandon()
			return contender{}, ctx.Err()
		}
	}
	return contender{leg}, nil
}

// promising reports whether a way other than i is not known to be bad.
func (r *race) promising(i int) bool {
	for j, a := range r.attempts {
		if j != i && !a.doubted && a.Path != r.attempts[i].Path {
			return true
		}
	}
	return false
}

// settle reports what a race has shown: the winner is good; a way that failed, or was
// silent until the deadline or while a later one answered, is worse. A caller that gave
// up says nothing about the silent ones. It returns the ways that were tried in vain.
func (r *race) settle(ctx context.Context, won int, errs []error) (failed raceError) {
	s := r.session
	outOfTime := won < 0 && errors.Is(ctx.Err(), context.DeadlineExceeded)
	if won >= 0 && won < len(r.attempts) {
		s.report(r.attempts[won], Connected)
	}
	for i, a := range r.attempts {
		err := errs[i]
		var chain *chainError
		switch {
		case i == won, errors.Is(err, mptcpsock.ErrNotTried):
			continue
		case errors.Is(err, mptcpsock.ErrNoAnswer):
			if err = ctx.Err(); r.seen[i].heard.Load() != 0 {
				err = &chainError{fmt.Errorf("nothing came behind TCP's handshake: %w", err)}
			}
			switch {
			case r.seen[i].held.Load(): // what was met there has been reported
			case r.mute(i) && (outOfTime || won >= 0):
				s.report(a, Stalled)
			case outOfTime:
				s.report(a, Silent)
			case i < won && !r.hasty(won): // else it was given no time
				s.report(a, Overtaken)
			}
		case mptcpsock.IsTemporary(err): // it is we who lack descriptors
		case errors.As(err, &chain):
			s.report(a, resultOf(chain.err))
		default:
			s.report(a, Refused)
		}
		failed = append(failed, outcome{a, err})
	}
	return failed
}

// mute reports whether an attempt has met somebody who answers TCP's handshake and no
// more: TLS's answer takes a round trip, and has had four, and the delay of a race.
func (r *race) mute(i int) bool {
	heard := r.seen[i].heard.Load()
	if heard == 0 {
		return false
	}
	silent := time.Duration(time.Now().UnixNano() - heard)
	return silent >= max(raceDelay, 4*time.Duration(heard-r.seen[i].began.Load()))
}

// hasty reports whether attempt i gave the one before it little time.
func (r *race) hasty(i int) bool { return i < len(r.attempts) && r.attempts[i].Unmeasured }

func stagger(a attempt) time.Duration {
	switch {
	case a.Metered:
		return raceDelayMetered
	case a.Unmeasured:
		return raceDelayUnknown
	}
	return raceDelay
}
