package leg

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
)

// A first subflow can start on any path, and the best-ranked one may be dead
// although it is up. So the ways are raced, each a little later than the one
// before it (RFC 8305 §5 for addresses, here for paths too).
const (
	raceDelay        = 250 * time.Millisecond
	raceDelayMetered = time.Second // a metered path is worth waiting longer for the other
	// raceDelayUnknown is for paths that nobody has measured yet: it may be the one
	// with the least round trip.
	raceDelayUnknown = 20 * time.Millisecond
)

// attempt is one connect of a race.
type attempt struct {
	Candidate
	to netip.AddrPort
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
			at := attempt{c, netip.AddrPortFrom(a, port)}
			if leftAlone(c.Path, a) {
				bad = append(bad, at)
			} else {
				good = append(good, at)
			}
		}
	}
	return append(good, bad...)
}

type outcome struct {
	attempt
	index int
	conn  *mptcpsock.Conn
	err   error
}

// connect reaches the concentrator over the first way that answers, of those
// that the choice allows.
func (s *Session) connect(ctx context.Context, choice proxy.Choice) (*mptcpsock.Conn, attempt, error) {
	cands, err := s.cfg.Paths.Order(choice)
	if err != nil {
		return nil, attempt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := s.names.lookup(ctx)
	if err != nil {
		return nil, attempt{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	attempts := s.freeLocal(plan(cands, addrs, s.cfg.Port, s.cfg.Paths.LeftAlone))
	if len(attempts) == 0 {
		return nil, attempt{}, fmt.Errorf("%w: no path has an address of the family of %v", ErrUnreachable, addrs)
	}
	return s.race(ctx, attempts)
}

// report tells what was met on the way of an attempt.
func (s *Session) report(a attempt, r Result) { s.cfg.Paths.Report(a.Path, a.to.Addr(), r) }

// freeLocal lets attempts to an address of this host leave over any interface: the
// kernel carries them over lo, and a socket that is bound to another device never
// gets the answer.
func (s *Session) freeLocal(attempts []attempt) []attempt {
	own, err := s.own.Get()
	if err != nil {
		return attempts
	}
	for i, a := range attempts {
		if a.to.Addr().IsLoopback() || slices.Contains(own, a.to.Addr()) {
			attempts[i].Interface = ""
		}
	}
	return attempts
}

// race starts the attempts one after the other until one succeeds. It is over
// at the first success, at the failure of all, or with ctx.
func (s *Session) race(ctx context.Context, attempts []attempt) (*mptcpsock.Conn, attempt, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan outcome, len(attempts)) // room for all: no loser blocks
	silent := make([]bool, len(attempts))        // started, no outcome yet
	var failed unreachableError
	next, running := 0, 0
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	begin := func() {
		go s.try(ctx, next, attempts[next], results)
		silent[next] = true
		running++
		if next++; next < len(attempts) {
			timer.Reset(stagger(attempts[next]))
		}
	}
	begin()
	for next < len(attempts) || running > 0 {
		select {
		case <-ctx.Done():
			go discard(results, running)
			return nil, attempt{}, s.outOfTime(ctx, failed, attempts, silent)
		case <-timer.C:
			if next < len(attempts) {
				begin()
			}
		case r := <-results:
			running--
			if errors.Is(r.err, context.DeadlineExceeded) {
				<-ctx.Done() // it is ctx's: the dial has no other
				go discard(results, running)
				return nil, attempt{}, s.outOfTime(ctx, failed, attempts, silent)
			}
			silent[r.index] = false
			if r.err == nil {
				cancel()
				if running > 0 {
					go discard(results, running)
				}
				s.settle(r, attempts, silent)
				return r.conn, r.attempt, nil
			}
			if ctx.Err() == nil && !mptcpsock.IsTemporary(r.err) {
				s.report(r.attempt, Refused) // unless it is we who lack descriptors
			}
			failed = append(failed, r)
			if next < len(attempts) {
				begin() // no reason to wait for the next one
			}
		}
	}
	return nil, attempt{}, failed
}

// settle reports what a race has shown: won is good, and what was tried before it
// and is silent still is worse.
func (s *Session) settle(won outcome, attempts []attempt, silent []bool) {
	s.report(won.attempt, Connected)
	for i, a := range attempts[:won.index] {
		if silent[i] && !won.Unmeasured { // else it was given no time
			s.report(a, Overtaken)
		}
	}
}

// outOfTime is the error of a race that ctx has ended. Ways that were silent
// until the deadline are reported; a caller that gave up says nothing about them.
func (s *Session) outOfTime(ctx context.Context, failed unreachableError, attempts []attempt, silent []bool) error {
	for i, a := range attempts {
		if !silent[i] {
			continue
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.report(a, Silent)
		}
		failed = append(failed, outcome{attempt: a, err: ctx.Err()})
	}
	if len(failed) == 0 {
		return fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	return failed
}

// unreachableError lists every way that was tried. It is ErrUnreachable.
type unreachableError []outcome

func (e unreachableError) Error() string {
	tried := make([]string, len(e))
	for i, o := range e {
		tried[i] = fmt.Sprintf("%s over %s: %v", o.to, o.Path, o.err)
	}
	return fmt.Sprintf("%v: %s", ErrUnreachable, strings.Join(tried, "; "))
}

func (e unreachableError) Unwrap() error { return ErrUnreachable }

func stagger(a attempt) time.Duration {
	switch {
	case a.Metered:
		return raceDelayMetered
	case a.Unmeasured:
		return raceDelayUnknown
	}
	return raceDelay
}

func (s *Session) try(ctx context.Context, index int, a attempt, results chan<- outcome) {
	d := mptcpsock.Dialer{LocalAddr: a.Source, Interface: a.Interface, ReceiveBuffer: s.cfg.ReceiveBuffer}
	conn, err := d.Dial(ctx, a.to)
	results <- outcome{a, index, conn, err}
}

// discard closes the connections of attempts that came second.
func discard(results <-chan outcome, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}
