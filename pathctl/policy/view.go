package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// view is one decision while it is made: the inputs, sorted and examined, and
// what was decided so far.
type view struct {
	c      *Conn
	p      *Params
	subs   []sub  // in the order of c.Subflows
	paths  []Path // those allowed, the preferred one first
	m      Memory
	create []Create
	probe  []string
	look   time.Duration
}

// sub is a subflow with what was found and decided about it.
type sub struct {
	*Subflow
	path    int // index in view.paths; nowhere
	fault   fault
	verdict verdict
	backup  bool // when kept
	cause   Cause
	why     string
}

// nowhere is the index of a path that is not known.
const nowhere = -1

type verdict uint8

const (
	undecided verdict = iota
	kept
	dropped
)

// sorted appends the paths that are allowed to buf, the preferred one first.
// Neither it nor placed keeps buf, so that Decide can have it on its stack.
func (v *view) sorted(buf, paths []Path) []Path {
	for _, p := range paths {
		if v.allowed(p.Name) && indexOf(buf, p.Name) == nowhere {
			buf = append(buf, p)
		}
	}
	for i := 1; i < len(buf); i++ { // few, and mostly in order
		for j := i; j > 0 && v.preferred(&buf[j], &buf[j-1]); j-- {
			buf[j], buf[j-1] = buf[j-1], buf[j]
		}
	}
	return buf
}

// placed appends the subflows to buf, each with its path.
func (v *view) placed(buf []sub) []sub {
	for i := range v.c.Subflows {
		buf = append(buf, sub{Subflow: &v.c.Subflows[i], path: v.pathOf(v.c.Subflows[i].Path)})
	}
	return buf
}

func (v *view) allowed(path string) bool {
	return path != "" && (len(v.c.Prefer) == 0 || slices.Contains(v.c.Prefer, path))
}

// preferred reports whether a comes before b: by the rule's order, else by
// rank, of equal ones the unmetered one, and then by name, to have an order.
func (v *view) preferred(a, b *Path) bool {
	if len(v.c.Prefer) > 0 {
		return slices.Index(v.c.Prefer, a.Name) < slices.Index(v.c.Prefer, b.Name)
	}
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Metered != b.Metered {
		return b.Metered
	}
	return strings.Compare(a.Name, b.Name) < 0
}

func (v *view) pathOf(name string) int { return indexOf(v.paths, name) }

func indexOf(paths []Path, name string) int {
	for i := range paths {
		if paths[i].Name == name {
			return i
		}
	}
	return nowhere
}

// ready reports whether a subflow can carry data.
func (s *sub) ready() bool {
	return s.Established && s.fault.kind == healthy && s.verdict != dropped
}

// inUse reports whether the scheduler gives it data while others work.
func (s *sub) inUse() bool { return s.ready() && !s.Backup && !s.PeerBackup }

// readyBut reports whether a subflow other than number i is ready; -1 asks for
// any.
func (v *view) readyBut(i int) bool {
	for j := range v.subs {
		if j != i && v.subs[j].ready() {
			return true
		}
	}
	return false
}

// on returns the best subflow on a path, ready or not, or nowhere.
func (v *view) on(path int) int {
	best := nowhere
	for i := range v.subs {
		if s := &v.subs[i]; s.path == path && s.verdict != dropped && (best == nowhere || s.betterThan(&v.subs[best])) {
			best = i
		}
	}
	return best
}

// betterThan says which of two subflows on one path stays.
func (s *sub) betterThan(o *sub) bool {
	if s.ready() != o.ready() {
		return s.ready()
	}
	if s.Established != o.Established {
		return s.Established
	}
	if !s.Established && s.Age != o.Age {
		return s.Age < o.Age // its chance is still to come
	}
	if s.PeerBackup != o.PeerBackup {
		return !s.PeerBackup
	}
	if s.Backup != o.Backup {
		return !s.Backup
	}
	return s.Initial && !o.Initial
}

// readyOn returns the best ready subflow on a path, or nowhere.
func (v *view) readyOn(path int) int {
	if path == nowhere {
		return nowhere
	}
	if i := v.on(path); i != nowhere && v.subs[i].ready() {
		return i
	}
	return nowhere
}

// occupied reports whether a path has a subflow, had one until this decision,
// or is about to get one.
func (v *view) occupied(path int) bool {
	return slices.ContainsFunc(v.subs, func(s sub) bool { return s.path == path }) ||
		slices.ContainsFunc(v.create, func(c Create) bool { return c.Path == v.paths[path].Name })
}

// open reports whether a subflow may be created on a path at all.
func (v *view) open(path int) bool {
	p := &v.paths[path]
	return v.c.Role == Client && !v.c.CannotJoin && p.Up && p.Retry <= 0
}

// creatable reports whether a path may get its first subflow now.
func (v *view) creatable(path int) bool { return v.open(path) && !v.occupied(path) }

// room is how many subflows may still be created. Failed ones do not count:
// they are about to go.
func (v *view) room() int {
	n := v.p.MaxSubflows - len(v.create)
	for i := range v.subs {
		if s := &v.subs[i]; s.verdict != dropped && s.fault.kind == healthy {
			n--
		}
	}
	return n
}

// add creates the first subflow on a path where that is possible and promises
// something. The parts of
// the reason are only put together then: most decisions change nothing.
func (v *view) add(path int, backup bool, why ...string) {
	if v.creatable(path) && !v.paths[path].Unproven && v.room() > 0 {
		v.create = append(v.create, Create{v.paths[path].Name, backup, strings.Join(why, "")})
	}
}

// keep decides that a subflow stays, with that priority.
func (v *view) keep(i int, backup bool, why ...string) {
	s := &v.subs[i]
	s.verdict, s.backup, s.why = kept, backup, ""
	if backup != s.Backup {
		s.why = strings.Join(why, "")
	}
}

func (v *view) drop(i int, cause Cause, why string) {
	s := &v.subs[i]
	s.verdict, s.cause, s.why = dropped, cause, why
}

// dropFaulty drops a subflow that has failed if another one can carry its
// data, and holds the failure against the path unless another subflow works on
// it. A pending subflow carries none.
func (v *view) dropFaulty(i int) {
	s := &v.subs[i]
	if s.fault.kind == healthy || s.Established && !v.readyBut(i) || v.spared(s) {
		return
	}
	why := s.fault.describe(s.label())
	if s.fault.kind == isAway {
		v.drop(i, PathDown, why)
		return
	}
	v.drop(i, Failed, why)
	if !s.Established {
		return // no data has suffered; the back-off of the path is enough
	}
	blamed := func(o sub) bool {
		return o.Path == s.Path && o.ID != s.ID && (o.ready() || o.verdict == dropped && o.cause == Failed)
	}
	if s.Path != "" && !slices.ContainsFunc(v.subs, blamed) {
		v.blame(s.Path, why, s.fault.kind == isLossy)
	}
}

// dropTwins leaves one subflow on each path.
func (v *view) dropTwins() {
	for i := range v.subs {
		s := &v.subs[i]
		if s.verdict == dropped || s.path == nowhere {
			continue
		}
		best := v.on(s.path)
		if o := &v.subs[best]; best != i && (o.ready() || !o.Established) { // else the other one may save the path
			v.drop(i, Unneeded, s.label()+" has another subflow")
		}
	}
}

// label names a subflow for people.
func (s *sub) label() string {
	if s.Path != "" {
		return s.Path
	}
	return fmt.Sprintf("subflow %d", s.ID)
}

// lookIn asks to be called again after d at the latest.
func (v *view) lookIn(d time.Duration) {
	if d <= 0 {
		return
	}
	d = max(d, minLook)
	if v.look == 0 || d < v.look {
		v.look = d
	}
}
