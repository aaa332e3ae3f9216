package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/pathctl/reason"
)

// View is one decision while it is made: the inputs, sorted and examined, and
// what was decided so far. Modes decide with its methods.
type View struct {
	Conn   *Conn
	Params *Params // of the connection's mode
	Subs   []Sub   // in the order of Conn.Subflows
	Paths  []Path  // those allowed, the preferred one first
	Memory Memory

	mode   *definition
	create []Create
	probe  []string
	look   time.Duration

	prodding bool // Plan.Prod
}

// Sub is a subflow with what was found and decided about it.
type Sub struct {
	*Subflow
	On      int // index of its path in View.Paths, or Nowhere
	fault   fault
	verdict verdict
	backup  bool // when kept
	cause   Cause
	why     reason.Reason
}

// Nowhere is the index of a path that is not known.
const Nowhere = -1

type verdict uint8

const (
	undecided verdict = iota
	kept
	dropped
)

// sorted appends the paths that are allowed to buf, the preferred one first.
// Neither it nor placed keeps buf, so that Decide can have it on its stack.
func (v *View) sorted(buf, paths []Path) []Path {
	for _, p := range paths {
		if v.allowed(p.Name) && indexOf(buf, p.Name) == Nowhere {
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
func (v *View) placed(buf []Sub) []Sub {
	for i := range v.Conn.Subflows {
		buf = append(buf, Sub{Subflow: &v.Conn.Subflows[i], On: v.pathOf(v.Conn.Subflows[i].Path)})
	}
	return buf
}

func (v *View) allowed(path string) bool {
	return path != "" && (len(v.Conn.Prefer) == 0 || slices.Contains(v.Conn.Prefer, path))
}

// preferred reports whether a comes before b: by the rule's order, else by
// rank, of equal ones the unmetered one, and then by name, to have an order.
func (v *View) preferred(a, b *Path) bool {
	if len(v.Conn.Prefer) > 0 {
		return slices.Index(v.Conn.Prefer, a.Name) < slices.Index(v.Conn.Prefer, b.Name)
	}
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Metered != b.Metered {
		return b.Metered
	}
	return strings.Compare(a.Name, b.Name) < 0
}

func (v *View) pathOf(name string) int { return indexOf(v.Paths, name) }

func indexOf(paths []Path, name string) int {
	for i := range paths {
		if paths[i].Name == name {
			return i
		}
	}
	return Nowhere
}

// Ready reports whether a subflow can carry data.
func (s *Sub) Ready() bool {
	return s.Established && s.fault.kind == healthy && s.verdict != dropped
}

// InUse reports whether the scheduler gives it data while others work.
func (s *Sub) InUse() bool { return s.Ready() && !s.Backup && !s.PeerBackup }

// Dropped reports whether it was decided that the subflow goes.
func (s *Sub) Dropped() bool { return s.verdict == dropped }

// Failed reports whether the subflow goes for having failed.
func (s *Sub) Failed() bool { return s.Dropped() && s.cause == Failed }

// Flows reports whether any subflow carried data in the last window.
func (v *View) Flows() bool {
	return slices.ContainsFunc(v.Subs, func(s Sub) bool { return s.Busy })
}

// ReadyBut reports whether a subflow other than number i is ready; -1 asks for
// any.
func (v *View) ReadyBut(i int) bool {
	for j := range v.Subs {
		if j != i && v.Subs[j].Ready() {
			return true
		}
	}
	return false
}

// bestOn returns the best subflow on a path, ready or not, or Nowhere.
func (v *View) bestOn(path int) int {
	best := Nowhere
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == path && s.verdict != dropped && (best == Nowhere || s.betterThan(&v.Subs[best])) {
			best = i
		}
	}
	return best
}

// betterThan says which of two subflows on one path stays.
func (s *Sub) betterThan(o *Sub) bool {
	if s.Ready() != o.Ready() {
		return s.Ready()
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

// ReadyOn returns the best ready subflow on a path, or Nowhere.
func (v *View) ReadyOn(path int) int {
	if path == Nowhere {
		return Nowhere
	}
	if i := v.bestOn(path); i != Nowhere && v.Subs[i].Ready() {
		return i
	}
	return Nowhere
}

// occupied reports whether a path has a subflow, had one until this decision,
// or is about to get one. One that was forgotten on the way occupies nothing.
func (v *View) occupied(path int) bool {
	return slices.ContainsFunc(v.Subs, func(s Sub) bool { return s.On == path && s.fault.kind != isForgotten }) ||
		slices.ContainsFunc(v.create, func(c Create) bool { return c.Path == v.Paths[path].Name })
}

// CanOpen reports whether a subflow may be created on a path at all.
func (v *View) CanOpen(path int) bool {
	p := &v.Paths[path]
	return v.Conn.Role == Client && !v.Conn.CannotJoin && p.Up && p.Retry <= 0
}

// Creatable reports whether a path may get its first subflow now.
func (v *View) Creatable(path int) bool { return v.CanOpen(path) && !v.occupied(path) }

// Room is how many subflows may still be created. Failed ones do not count:
// they are about to go.
func (v *View) Room() int {
	n := v.Params.MaxSubflows - len(v.create)
	for i := range v.Subs {
		if s := &v.Subs[i]; s.verdict != dropped && s.fault.kind == healthy {
			n--
		}
	}
	return n
}

// Add creates the first subflow on a path where that is possible and promises
// something.
func (v *View) Add(path int, backup bool, why reason.Reason) {
	if v.Creatable(path) && !v.Paths[path].Unproven && v.Room() > 0 {
		v.create = append(v.create, Create{v.Paths[path].Name, backup, why})
	}
}

// Create creates a subflow without a look at what is there: CanOpen and Room say
// whether it can be.
func (v *View) Create(path int, backup bool, why reason.Reason) {
	v.create = append(v.create, Create{v.Paths[path].Name, backup, why})
}

// Created is how many subflows this decision creates so far.
func (v *View) Created() int { return len(v.create) }

// Keep decides that a subflow stays, with that priority.
func (v *View) Keep(i int, backup bool, why reason.Reason) {
	s := &v.Subs[i]
	s.verdict, s.backup, s.why = kept, backup, reason.Reason{}
	if backup != s.Backup {
		s.why = why
	}
}

// Drop decides that a subflow is destroyed.
func (v *View) Drop(i int, cause Cause, why reason.Reason) {
	s := &v.Subs[i]
	s.verdict, s.cause, s.why = dropped, cause, why
}

// dropFaulty drops a subflow that has failed if another one can carry its
// data, and holds the failure against the path unless another subflow works on
// it. A pending subflow carries none.
func (v *View) dropFaulty(i int) {
	s := &v.Subs[i]
	if s.fault.kind == healthy || s.Established && !v.ReadyBut(i) || v.spared(s) {
		return
	}
	why := s.fault.reason(s.Label())
	switch s.fault.kind {
	case isAway:
		v.Drop(i, PathDown, why)
		return
	case isForgotten: // the path is well
		v.Drop(i, Forgotten, why)
		return
	}
	v.Drop(i, Failed, why)
	if !s.Established {
		return // no data has suffered; the back-off of the path is enough
	}
	blamed := func(o Sub) bool {
		return o.Path == s.Path && o.ID != s.ID && (o.Ready() || o.verdict == dropped && o.cause == Failed)
	}
	if s.Path != "" && !slices.ContainsFunc(v.Subs, blamed) {
		v.Blame(s.Path, why, s.fault.kind == isLossy)
	}
}

// dropTwins leaves one subflow on each path.
func (v *View) dropTwins() {
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.verdict == dropped || s.On == Nowhere {
			continue
		}
		best := v.bestOn(s.On)
		if o := &v.Subs[best]; best != i && (o.Ready() || !o.Established) { // else the other one may save the path
			v.Drop(i, Unneeded, reason.Reason{Kind: reasonTwin, Path: s.Label()})
		}
	}
}

// Label names a subflow for people.
func (s *Sub) Label() string {
	if s.Path != "" {
		return s.Path
	}
	return fmt.Sprintf("subflow %d", s.ID)
}

// LookIn asks to be called again after d at the latest.
func (v *View) LookIn(d time.Duration) {
	if d <= 0 {
		return
	}
	d = max(d, MinLook)
	if v.look == 0 || d < v.look {
		v.look = d
	}
}
