package engine

import (
	"errors"
	"math"
	"syscall"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

// stateOf returns what is believed about a path, to be changed. What is noted of one
// that is not there any more is lost.
func (e *Engine) stateOf(path string) *pathstate.State {
	s := e.states[path]
	if s == nil {
		s = &pathstate.State{}
		if e.hasPath(path) {
			e.states[path] = s
		}
	}
	return s
}

// publish shows all goroutines what is believed about the paths, when that decides
// something else than before.
func (e *Engine) publish() {
	e.tell()
}

func (e *Engine) tell() {
	out := make(map[string]pathstate.State, len(e.states))
	for name, s := range e.states {
		out[name] = *s
	}
	e.told.Store(&out)
}

// PathState returns what is believed about a path. It is a copy: its round trip may be an
// eighth off, its loss a hundredth, and other numbers are as old as these.
func (e *Engine) PathState(path string) pathstate.State { return (*e.told.Load())[path] }

// pathFailed notes trouble of something on a path that began at since.
func (e *Engine) pathFailed(path string, k pathstate.Kind, why string, since, now time.Time) {
	if !e.hasPath(path) {
		return // it is the client's, which brings subflows back
	}
	e.stateOf(path).Fail(k, why, since, now)
	e.publish()
}

// recovered has all connections make use of a path whose last trouble is over.
func (e *Engine) recovered(c *connection, path string, is bool, why string, now time.Time) {
	if !is {
		return
	}
	e.decide(c, ActionPath, path, ReasonRecovered, "works again: "+why)
	e.publish()
	e.lookAtAll(now)
}

// LegMet takes what a leg to the concentrator met on a path. Only what shows that the
// path works concerns the subflows of others: what is bad may be the concentrator's
// matter. It may be called from any goroutine, and does not block.
func (e *Engine) LegMet(path string, r pathstate.Result) {
	if r != pathstate.LegFine {
		return
	}
	select {
	case e.inbox <- func(now time.Time) {
		recovered := e.stateOf(path).Met(r, "", now)
		e.recovered(nil, path, recovered, "the concentrator has answered over it", now)
	}:
		e.wake()
	default:
	}
}

// observe takes what a reading shows of the paths: round trips, rates, and that they work.
func (e *Engine) observe(c *connection, now time.Time) {
	if c.reg.Role == policy.Concentrator {
		return
	}
	for _, f := range c.subflows {
		if !f.established {
			continue
		}
		s := e.stateOf(f.path)
		if f.obs.Fresh() {
			s.RTT.Sample(f.obs.Last().RTT, now)
		}
		s.Heard(f.obs.Alive())
		if share, known := f.obs.Loss(); known {
			s.Loss = pathstate.Loss{Share: share, At: now}
		}
		s.Up.Saw(f.obs.FoundRate(), now)
		s.Down.Saw(f.obs.Arrival(), now)
		e.tellNumbers(f.path, s)
	}
}

// tellNumbers shows a round trip that has changed by more than an eighth, or whose
// measurement is getting old, and a loss that has changed by a hundredth.
func (e *Engine) tellNumbers(path string, s *pathstate.State) {
	if e.states[path] != s {
		return // the path is gone
	}
	known := e.PathState(path)
	trip := (s.RTT.Smoothed-known.RTT.Smoothed).Abs() > known.RTT.Smoothed/8 || s.RTT.At.Sub(known.RTT.At) >= pathstate.Lately/2
	if trip || math.Abs(s.Loss.Share-known.Loss.Share) >= 0.01 {
		e.tell()
	}
}

// pathsFor is what a policy sees of the paths.
func (e *Engine) pathsFor(c *connection, now time.Time) []policy.Path {
	if c.reg.Role == policy.Concentrator {
		return nil // the client's paths are not ours to know
	}
	var out []policy.Path
	for _, p := range e.paths {
		s := e.stateOf(p.Name)
		v := policy.Path{
			Name: p.Name, Rank: p.Rank, Metered: p.Metered,
			RTT: s.RTT.Smoothed, Silent: s.Handshakes.Silent(now), Answered: s.Handshakes.Answered(now), Heard: s.HeardAgo(now),
			Retry: max(s.Retry(now), c.refusals[p.Name].until.Sub(now)), Unproven: !p.Metered && s.Unproven(now),
		}
		if v.RTT > 0 {
			v.RTTAge = now.Sub(s.RTT.At)
		}
		if at, up := e.upAt[p.Name]; up {
			v.UpFor = now.Sub(at)
			_, _, v.Up = c.way(p)
		}
		out = append(out, v)
	}
	return out
}

// refusedWithin is how soon a peer closes a subflow that it does not want.
const refusedWithin = time.Second

// troubleOf says what the end of a subflow tells of its path. errno is nil when the
// peer closed it in good order: its sending fails there, or, when it does so at once,
// it is one too many.
func troubleOf(end ending, errno error, now time.Time) pathstate.Kind {
	k := kindOf(errno)
	soon := !end.established || now.Sub(end.since) < refusedWithin
	switch {
	case !end.established && k == pathstate.Dark:
		return pathstate.JoinUnanswered
	case soon && k == pathstate.Reset:
		return pathstate.JoinRefused
	case errno == nil:
		return pathstate.Lossy
	}
	return k
}

// kindOf classifies the error of a closed subflow.
func kindOf(errno error) pathstate.Kind {
	switch {
	case errors.Is(errno, syscall.ENETUNREACH), errors.Is(errno, syscall.EHOSTUNREACH), errors.Is(errno, syscall.ENETDOWN):
		return pathstate.Unreachable
	case errors.Is(errno, syscall.ETIMEDOUT):
		return pathstate.Dark
	}
	return pathstate.Reset
}

// reasonOf classifies trouble for counting.
func reasonOf(k pathstate.Kind) Reason {
	switch k {
	case pathstate.Unreachable:
		return ReasonUnreachable
	case pathstate.Dark:
		return ReasonTimeout
	case pathstate.Lossy:
		return ReasonLoss
	case pathstate.JoinUnanswered:
		return ReasonNoAnswer
	}
	return ReasonReset
}
