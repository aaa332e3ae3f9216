package leg

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	// avoidTime is how long a path that did not lead to the concentrator is
	// tried after the others.
	avoidTime = 30 * time.Second
	// overtakenTime is the same for a way that was tried before the one that
	// answered, and has said nothing yet. A silent path would otherwise cost
	// each new connection the delay.
	overtakenTime = 10 * time.Second
)

// attempt is one connect of a race.
type attempt struct {
	Candidate
	to netip.AddrPort
}

// way names what may be dead: the path, or the address beyond it.
func (a attempt) way() string { return a.Path + " to " + a.to.Addr().String() }

// plan orders the attempts: as the candidates are, ways that failed lately last, and for
// each path the addresses that its source address can reach. Without any path
// the kernel's routing decides.
func plan(cands []Candidate, addrs []netip.Addr, port uint16, avoided func(attempt) bool) []attempt {
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
			if avoided(at) {
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
// that the choice allows, and says over which path.
func (s *Session) connect(ctx context.Context, choice proxy.Choice) (*mptcpsock.Conn, string, error) {
	cands, err := s.candidates(choice)
	if err != nil {
		return nil, "", err
	}
	if s.anywhere(choice) {
		cands = quickest(cands)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := s.names.lookup(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	attempts := s.freeLocal(plan(cands, addrs, s.cfg.Port, s.avoided))
	if len(attempts) == 0 {
		return nil, "", fmt.Errorf("%w: no path has an address of the family of %v", ErrUnreachable, addrs)
	}
	return s.race(ctx, attempts)
}

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

// candidates are the ways that the choice allows.
func (s *Session) candidates(choice proxy.Choice) ([]Candidate, error) {
	if s.cfg.Paths == nil {
		return allowed(choice, nil)
	}
	return allowed(choice, s.cfg.Paths.Candidates())
}

// anywhere reports whether it is all the same on which path a leg begins.
func (s *Session) anywhere(choice proxy.Choice) bool {
	return len(choice.Paths) == 0 && s.cfg.BeginAnywhere != nil && s.cfg.BeginAnywhere(choice.Mode)
}

// race starts the attempts one after the other until one succeeds. It is over
// at the first success, at the failure of all, or with ctx.
func (s *Session) race(ctx context.Context, attempts []attempt) (*mptcpsock.Conn, string, error) {
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
			return nil, "", s.outOfTime(ctx, failed, attempts, silent)
		case <-timer.C:
			if next < len(attempts) {
				begin()
			}
		case r := <-results:
			running--
			if errors.Is(r.err, context.DeadlineExceeded) {
				<-ctx.Done() // it is ctx's: the dial has no other
				go discard(results, running)
				return nil, "", s.outOfTime(ctx, failed, attempts, silent)
			}
			silent[r.index] = false
			if r.err == nil {
				cancel()
				if running > 0 {
					go discard(results, running)
				}
				s.settle(r, attempts, silent)
				return r.conn, r.Path, nil
			}
			if ctx.Err() == nil && !mptcpsock.IsTemporary(r.err) {
				s.avoidFor(r.attempt, avoidTime) // unless it is we who lack descriptors
			}
			failed = append(failed, r)
			if next < len(attempts) {
				begin() // no reason to wait for the next one
			}
		}
	}
	return nil, "", failed
}

// settle keeps what a race has shown: won is good, and what was tried before it
// and is silent still is worse.
func (s *Session) settle(won outcome, attempts []attempt, silent []bool) {
	s.forgive(won.attempt)
	for i, a := range attempts[:won.index] {
		if silent[i] && !won.unknown { // else it was given no time
			s.avoidFor(a, overtakenTime)
		}
	}
}

// outOfTime is the error of a race that ctx has ended. Ways that were silent
// until the deadline are avoided; a caller that gave up says nothing about them.
func (s *Session) outOfTime(ctx context.Context, failed unreachableError, attempts []attempt, silent []bool) error {
	for i, a := range attempts {
		if !silent[i] {
			continue
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.avoidFor(a, avoidTime)
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
	case a.unknown:
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

func (s *Session) avoided(a attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.avoid) > 0 && time.Now().Before(s.avoid[a.way()])
}

// avoidFor makes a be tried last for a while. What is over is forgotten, so that
// the map holds no more than one entry for each way in use lately.
func (s *Session) avoidFor(a attempt, d time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.avoid, func(_ string, until time.Time) bool { return until.Before(now) })
	if until := now.Add(d); until.After(s.avoid[a.way()]) {
		s.avoid[a.way()] = until
	}
}

func (s *Session) forgive(a attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.avoid) > 0 {
		delete(s.avoid, a.way())
	}
}
