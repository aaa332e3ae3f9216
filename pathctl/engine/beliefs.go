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

// A connection needs seconds to find out that a path loses too much, or is too far away
// from another one to be of use beside it, and a download of five megabytes is over by
// then. So what one connection notes of a path itself is kept with what is believed about
// the path, and each connection that begins later begins with it.

const (
	// notedMost bounds how many addresses of clients a concentrator keeps notes about.
	notedMost = 4096
	// notesAtFirst bounds the notes that a connection begins with: one client may have
	// many addresses.
	notesAtFirst = 8
)

// keepNotes keeps what a decision of a connection has newly noted of paths.
func (e *Engine) keepNotes(conn policy.Conn, before, after policy.Memory, now time.Time) {
	for _, n := range after.Notes {
		old, known := before.Note(n.Path)
		if known && old.Until == n.Until || n.Aside(conn.Age) == 0 || !e.concernsAll(n) {
			continue
		}
		if s := e.notedOf(n.Path, conn.Params.Patience, now); s != nil {
			s.Keep(n, now.Add(-conn.Age))
		}
	}
}

// concernsAll reports whether a note of one connection holds for others, too. Behind one
// address of a client may be the paths of many clients: a loss there says little.
func (e *Engine) concernsAll(n policy.Note) bool {
	return policy.OfThePath(n) && (e.role == policy.Client || n.Far != "")
}

// notedOf returns what is believed about a path, to keep a note in it; nil when the path
// is not there any more, or there are too many.
func (e *Engine) notedOf(path string, p pathstate.Patience, now time.Time) *pathstate.State {
	if e.role == policy.Client || e.states[path] != nil {
		return e.stateOf(path)
	}
	if len(e.states) >= notedMost {
		for name, s := range e.states {
			if n, ok := s.Noted(now); !ok || !n.OnTrial(p, 0) {
				delete(e.states, name)
			}
		}
	}
	if len(e.states) >= notedMost {
		return nil
	}
	s := &pathstate.State{}
	e.states[path] = s
	return s
}

// firstNotes gives a connection that is looked at for the first time what others have
// noted of its paths.
func (e *Engine) firstNotes(c *connection, conn policy.Conn, now time.Time) {
	traits := conn.Mode.Traits()
	for _, s := range e.states {
		n, ok := s.Noted(now.Add(-conn.Age))
		if !ok || !n.OnTrial(conn.Params.Patience, conn.Age) || !e.concerns(n, c) || len(c.memory.Notes) == notesAtFirst {
			continue
		}
		if n.Far == "" && !traits.Alone || n.Far != "" && traits.SetsAside {
			c.memory.Notes = append(c.memory.Notes, n)
		}
	}
}

// concerns reports whether a connection may come to have the path of a note, and the other
// one if there is one: the client knows its paths, the concentrator those that have a
// subflow so far.
func (e *Engine) concerns(n policy.Note, c *connection) bool {
	if e.role == policy.Client {
		return e.hasPath(n.Path) && (n.Far == "" || e.hasPath(n.Far))
	}
	for _, f := range c.subflows {
		if f.path == n.Path || f.path == n.Far {
			return true
		}
	}
	return false
}
