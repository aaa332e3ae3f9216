package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// standbys says which paths besides the one in use get a subflow.
type standbys uint8

const (
	noStandby standbys = iota
	unmeteredStandby
	everyStandby
)

// carry makes one path carry everything. The others are established backups as
// far as standby says; paths before it in preference are always opened, to
// return to them.
func (v *view) carry(best int, standby standbys, why string) {
	if best != nowhere {
		v.choose(v.paths[best].Name)
	}
	carries := v.readyOn(best) != nowhere
	for i := range v.subs {
		s := &v.subs[i]
		switch {
		case s.verdict == dropped || s.path == nowhere || !carries: // no better one is known
		case s.path == best:
			v.keep(i, false, why)
		case v.paths[s.path].Metered && standby != everyStandby && s.path > best:
			v.dismiss(i)
		default:
			v.keep(i, true, v.m.Best, " carries the data")
		}
	}
	if !carries {
		return // rescue opens what is needed
	}
	for k := range v.paths {
		p := &v.paths[k]
		switch {
		case standby == noStandby || k == best:
		case k < best:
			v.add(k, true, p.Name, " is preferred to ", v.m.Best)
		case standby == everyStandby || !p.Metered:
			v.add(k, true, "standby for ", v.m.Best)
		}
	}
}

// dismiss lets go of a subflow that is not needed any more: it carries nothing
// from now on, and is dropped when what was in flight has arrived. While the
// path in use loses data the other one may be needed any moment.
func (v *view) dismiss(i int) {
	left := v.m.Since + v.p.Linger - v.c.Age
	if left <= 0 && !v.losing(v.m.Best) {
		v.drop(i, Unneeded, v.m.Best+" carries the data")
		return
	}
	v.lookIn(left)
	v.keep(i, true, v.m.Best, " carries the data")
}

// losing reports whether a subflow on a path is being watched for loss.
func (v *view) losing(path string) bool {
	return slices.ContainsFunc(v.subs, func(s sub) bool {
		_, watched := v.watching(s.ID, SignLoss)
		return watched && s.Path == path && s.ready()
	})
}

// current returns the path that has carried the data so far, or nowhere.
func (v *view) current() int {
	if v.m.Best != "" {
		return v.pathOf(v.m.Best)
	}
	first := nowhere
	for i := range v.subs {
		s := &v.subs[i]
		if s.path != nowhere && s.ready() && (first == nowhere || s.Initial && !s.Backup) {
			first = s.path
		}
	}
	return first
}

// byRank returns the path that should carry the data when the preferred one
// should: the present one until it fails or a better one is back. The words
// say why it changes.
func (v *view) byRank() (int, string) {
	now := v.current()
	if v.readyOn(now) == nowhere {
		next := v.firstReady()
		if next == nowhere {
			return now, ""
		}
		v.blameLost(now)
		return next, v.failure(now)
	}
	for k := range v.paths[:now] {
		if v.returned(k) {
			return k, fmt.Sprintf("%s is preferred and has been good for %s", v.paths[k].Name, words(v.p.ReturnAfter))
		}
	}
	return now, "carries the data"
}

// firstReady returns the preferred path with a subflow that works, one on
// probation, here or at the concentrator, last.
func (v *view) firstReady() int {
	last := nowhere
	for k := range v.paths {
		i := v.readyOn(k)
		switch {
		case i == nowhere:
		case v.probation(v.paths[k].Name) == 0 && !v.subs[i].PeerBackup:
			return k
		case last == nowhere:
			last = k
		}
	}
	return last
}

// blameLost holds it against a path that is up that its subflow is gone,
// without our doing: the peer, who sees its own losses, has closed it.
func (v *view) blameLost(path int) {
	if path == nowhere || !v.paths[path].Up || v.occupied(path) {
		return
	}
	v.blame(v.paths[path].Name, v.failure(path), true)
}

// failure says why a path does not carry the data any more.
func (v *view) failure(path int) string {
	if path == nowhere {
		return strings.TrimSpace(v.m.Best + " is gone or was never there")
	}
	name := v.paths[path].Name
	for i := range v.subs {
		if s := &v.subs[i]; s.path == path && s.fault.kind != healthy {
			return s.fault.describe(name)
		}
	}
	return name + " has no subflow"
}

// returned reports whether a path has been good for long enough to be trusted:
// up, off probation, not set aside by the concentrator, and, when it failed
// before, with a subflow that lasts.
func (v *view) returned(path int) bool {
	i := v.readyOn(path)
	if i == nowhere || v.subs[i].PeerBackup {
		return false
	}
	p := &v.paths[path]
	left := max(v.p.ReturnAfter-p.UpFor, v.probation(p.Name))
	if _, failed := v.note(p.Name); failed {
		left = max(left, v.p.ReturnAfter-v.lasted(path))
	}
	v.lookIn(left)
	return left <= 0
}

// lasted is the age of the oldest subflow that works on a path. Which of several is
// the best says nothing: their priorities change.
func (v *view) lasted(path int) (age time.Duration) {
	for i := range v.subs {
		if s := &v.subs[i]; s.path == path && s.ready() && !s.PeerBackup {
			age = max(age, s.Age)
		}
	}
	return age
}
