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
	raceDelay        = mptcpsock.DefaultRaceDelay
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

// outcome is an attempt and why it failed.
type outcome struct {
	attempt
	err error
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

// race tries the attempts one after the other until one succeeds, and reports what
// that has shown of each.
func (s *Session) race(ctx context.Context, attempts []attempt) (*mptcpsock.Conn, attempt, error) {
	conn, won, errs := mptcpsock.Race(ctx, len(attempts),
		func(i int) time.Duration { return stagger(attempts[i]) },
		func(ctx context.Context, i int) (*mptcpsock.Conn, error) {
			a := attempts[i]
			d := mptcpsock.Dialer{LocalAddr: a.Source, Interface: a.Interface, ReceiveBuffer: s.cfg.ReceiveBuffer}
			return d.Dial(ctx, a.to)
		})
	failed := s.settle(ctx, attempts, won, errs)
	switch {
	case won >= 0:
		return conn, attempts[won], nil
	case len(failed) == 0:
		return nil, attempt{}, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	return nil, attempt{}, failed
}

// settle reports what a race has shown: the winner is good; a way that failed, or was
// silent until the deadline or while a later one answered, is worse. A caller that gave
// up says nothing about the silent ones. It returns the ways that were tried in vain.
func (s *Session) settle(ctx context.Context, attempts []attempt, won int, errs []error) (failed unreachableError) {
	outOfTime := won < 0 && errors.Is(ctx.Err(), context.DeadlineExceeded)
	if won >= 0 {
		s.report(attempts[won], Connected)
	}
	for i, a := range attempts {
		switch err := errs[i]; {
		case i == won, errors.Is(err, mptcpsock.ErrNotTried):
		case errors.Is(err, mptcpsock.ErrNoAnswer):
			if outOfTime {
				s.report(a, Silent)
			} else if i < won && !attempts[won].Unmeasured { // else it was given no time
				s.report(a, Overtaken)
			}
			failed = append(failed, outcome{a, ctx.Err()})
		default:
			if !mptcpsock.IsTemporary(err) { // else it is we who lack descriptors
				s.report(a, Refused)
			}
			failed = append(failed, outcome{a, err})
		}
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
