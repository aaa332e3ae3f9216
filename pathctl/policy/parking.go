package policy

import (
	"fmt"
	"slices"
)

// usedOn counts the subflows on a path that are in use, or about to be, and
// those that are parked.
func (v *view) usedOn(home int) (used, parked int) {
	for i := range v.subs {
		switch s := &v.subs[i]; {
		case s.path != home || s.verdict == dropped:
		case s.Backup:
			parked++
		default:
			used++
		}
	}
	return used, parked
}

// unpark puts as many parked subflows as are needed into use, the newest first.
func (v *view) unpark(home, need int) {
	for i := len(v.subs) - 1; i >= 0 && need > 0; i-- {
		if s := &v.subs[i]; s.path == home && s.Backup && s.ready() {
			v.keep(i, false, "in place of another one on ", s.label())
			need--
		}
	}
}

// parkedAs is the parked subflow with that id, or nowhere.
func (v *view) parkedAs(home int, id SubflowID) int {
	return slices.IndexFunc(v.subs, func(s sub) bool {
		return s.ID == id && s.path == home && s.Backup && s.ready()
	})
}

// replace destroys the slowest subflow.
func (v *view) replace(home int) {
	if slow := v.slowest(home); slow != nowhere && v.readyBut(slow) {
		s := &v.subs[slow]
		v.drop(slow, Replaced, fmt.Sprintf("the slowest on %s (%d bytes/s)", s.label(), v.speed(s)))
	}
}

// clear destroys what is parked.
func (v *view) clear(home int, why string) {
	for i := range v.subs {
		if s := &v.subs[i]; s.path == home && s.Backup && s.verdict != dropped {
			v.drop(i, Replaced, "parked on "+s.label()+": "+why)
		}
	}
}

// tidy leaves n when nothing flows: what goes then costs nothing.
func (v *view) tidy(home, used int) {
	const idle = "nothing flows"
	v.clear(home, idle)
	for i := len(v.subs) - 1; i >= 0 && used > v.p.SubflowCount; i-- {
		if s := &v.subs[i]; s.path == home && !s.Backup && s.verdict != dropped {
			v.drop(i, Replaced, "one too many on "+s.label()+": "+idle)
			used--
		}
	}
}

// leaving reports whether subflows on another path are still there to be left:
// one thing after the other.
func (v *view) leaving(home int) bool {
	return slices.ContainsFunc(v.subs, func(s sub) bool { return s.path > home && s.verdict != dropped })
}
