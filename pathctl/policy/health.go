package policy

import (
	"time"

	"mpproxy/pathctl/reason"
)

// fault is why a subflow cannot be relied on.
type fault struct {
	kind        faultKind
	took, limit time.Duration
	rate, most  float64
}

type faultKind uint8

const (
	healthy     faultKind = iota
	isAway                // its path is down, gone or not allowed
	isUnjoined            // the peer did not answer its request
	isSilent              // probes on its path are unanswered
	isStalled             // data in flight is not acknowledged
	isTimedOut            // its timer expired and is long
	isLossy               // it loses much more than another path does
	isForgotten           // its path answers others, and not it
)

// reason says what is wrong on a path, or with a subflow of that name.
func (f fault) reason(where string) reason.Reason {
	kinds := [...]reason.Kind{
		isAway: reasonAway, isUnjoined: reasonUnjoined, isSilent: reasonSilent,
		isStalled: reasonStalled, isTimedOut: reasonTimedOut, isLossy: reasonLossy,
		isForgotten: reasonForgotten,
	}
	return reason.Reason{Kind: kinds[f.kind], Path: where, Took: f.took, Limit: f.limit, Rate: f.rate, Most: f.most}
}

// away reports a fault when the subflow's path is not there. The kernel keeps such a
// subflow until its timers run out, which takes minutes.
func (v *View) away(s *Sub) fault {
	if s.Path == "" || s.On != Nowhere && v.Paths[s.On].Up {
		return fault{}
	}
	return fault{kind: isAway}
}

// examine finds the faults of all subflows. Loss is looked at last, because a lossy
// subflow has failed only where another path is better. A concentrator does not know the
// paths, so there no subflow is away.
func (v *View) examine(pathsKnown bool) {
	acts := v.choice()
	for i := range v.Subs {
		if pathsKnown {
			v.Subs[i].fault = v.away(&v.Subs[i])
		}
		if s := &v.Subs[i]; s.fault.kind == healthy {
			s.fault = v.faultOf(s, acts)
		}
	}
	if !v.mode.Alone {
		v.examineLoss()
	}
}

// choice reports whether anything could be done about a fault. Without a second subflow
// or path nothing can, and nobody needs to look often.
func (v *View) choice() bool {
	if len(v.Subs) > 1 {
		return true
	}
	for i := range v.Paths {
		if !v.mode.Alone && v.Creatable(i) {
			return true
		}
	}
	return false
}

// faultOf finds the fault that a subflow has by itself, without a look at the others.
// acts says that something could be done about it: then it asks to be called again when
// a silence will be long enough to count.
func (v *View) faultOf(s *Sub, acts bool) fault {
	if !s.Established {
		v.LookIn(v.Params.JoinTimeout - s.Age)
		if s.Age >= v.Params.JoinTimeout {
			return fault{kind: isUnjoined, took: s.Age}
		}
		return fault{}
	}
	if silence, is := v.forgotten(s); is {
		return fault{kind: isForgotten, took: silence}
	}
	limit := v.StallLimit(s)
	if acts && s.Stalled > 0 {
		v.LookIn(limit - s.Stalled)
		if s.Stalled >= limit {
			v.LookIn(limit / 2)
			if s.Young > 0 {
				v.LookIn(youngLook)
			}
		}
		if v.LookIn(limit/2 - s.Stalled); s.Stalled >= limit/2 && s.On != Nowhere && !v.proven(s) {
			v.Ask(s.On) // too few segments are unanswered to tell: a probe tells
			v.LookIn(v.Params.ProbeTimeout / 2)
		}
	} else if acts && s.Busy && s.Unacked > 0 {
		v.LookIn(limit / 2) // so that a silence that begins now is seen half-way
	}
	switch {
	case v.mode.Alone: // there is nothing to change to
		return fault{}
	case v.silent(s):
		return fault{kind: isSilent, took: v.Paths[s.On].Silent}
	case s.Timeouts > 0 && s.RTO >= v.Params.RTOThreshold && v.proven(s) && v.quiet(s):
		return fault{kind: isTimedOut, took: s.RTO, limit: v.Params.RTOThreshold}
	case s.Stalled >= limit && v.proven(s):
		return fault{kind: isStalled, took: s.Stalled, limit: limit}
	}
	return fault{}
}

// pendingOn reports whether a subflow is being established on a path that was requested
// less than limit ago.
func (v *View) pendingOn(path int, limit time.Duration) bool {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == path && !s.Established && s.fault.kind == healthy && s.Age < limit {
			return true
		}
	}
	return false
}
