package mode

import (
	"slices"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

var (
	inPlaceOfAnother = reason.New("in-place-of-another", "in place of another one on {path}")
	slowestHere      = reason.New("slowest", "the slowest on {path} ({bytes} bytes/s)")
	inTheWay         = reason.New("in-the-way", "parked on {path}: room for others")
	parkedIdle       = reason.New("parked-idle", "parked on {path}: nothing flows")
	tooMany          = reason.New("too-many", "one too many on {path}: nothing flows")
)

// usedOn counts the subflows on a path that are in use, or about to be, and
// those that are parked.
func (v refresh) usedOn(home int) (used, parked int) {
	for i := range v.Subs {
		switch s := &v.Subs[i]; {
		case s.On != home || s.Dropped():
		case s.Backup:
			parked++
		default:
			used++
		}
	}
	return used, parked
}

// unpark puts as many parked subflows as are needed into use, the newest first.
func (v refresh) unpark(home, need int) {
	for i := len(v.Subs) - 1; i >= 0 && need > 0; i-- {
		if s := &v.Subs[i]; s.On == home && s.Backup && s.Ready() {
			v.Keep(i, false, reason.Reason{Kind: inPlaceOfAnother, Path: s.Label()})
			need--
		}
	}
}

// parkedAs is the parked subflow with that id, or policy.Nowhere.
func (v refresh) parkedAs(home int, id policy.SubflowID) int {
	return slices.IndexFunc(v.Subs, func(s policy.Sub) bool {
		return s.ID == id && s.On == home && s.Backup && s.Ready()
	})
}

// replace destroys the slowest subflow.
func (v refresh) replace(home int) {
	if slow := v.slowest(home); slow != policy.Nowhere && v.ReadyBut(slow) {
		s := &v.Subs[slow]
		v.Drop(slow, policy.Replaced, reason.Reason{Kind: slowestHere, Path: s.Label(), Bytes: v.speed(s)})
	}
}

// clear destroys what is parked.
func (v refresh) clear(home int, why reason.Kind) {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == home && s.Backup && !s.Dropped() {
			v.Drop(i, policy.Replaced, reason.Reason{Kind: why, Path: s.Label()})
		}
	}
}

// tidy leaves n when nothing flows: what goes then costs nothing.
func (v refresh) tidy(home, used int) {
	v.clear(home, parkedIdle)
	for i := len(v.Subs) - 1; i >= 0 && used > v.n.SubflowCount; i-- {
		if s := &v.Subs[i]; s.On == home && !s.Backup && !s.Dropped() {
			v.Drop(i, policy.Replaced, reason.Reason{Kind: tooMany, Path: s.Label()})
			used--
		}
	}
}

// leaving reports whether subflows on another path are still there to be left:
// one thing after the other.
func (v refresh) leaving(home int) bool {
	return slices.ContainsFunc(v.Subs, func(s policy.Sub) bool { return s.On > home && !s.Dropped() })
}
