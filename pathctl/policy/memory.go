package policy

import (
	"slices"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/reason"
)

// Memory is what a policy remembers of a connection between two plans. It is a
// value like any other: Decide never changes the one it was given, it can be
// written as JSON, and its times are ages of the connection.
type Memory struct {
	// Best is the path that carries the data in modes that choose one, since
	// the age Since. In aggregate it is the path that delivered most.
	Best  string        `json:",omitempty"`
	Since time.Duration `json:",omitempty"`
	// Rival is a path that has looked better than Best since RivalSince.
	Rival      string        `json:",omitempty"`
	RivalSince time.Duration `json:",omitempty"`
	// Lost is when the last of several subflows on a path was dropped for having
	// failed, and Stood when most of them were found not to move.
	Lost  time.Duration `json:",omitempty"`
	Stood time.Duration `json:",omitempty"`
	// Notes are the paths that gave trouble, Watches the signs of trouble that
	// must last before they count.
	Notes   []Note  `json:",omitempty"`
	Watches []Watch `json:",omitempty"`
	// Own points to what the mode remembers beside that, in the type that it has
	// registered. Nobody changes what it points to. In JSON its fields stand beside
	// the others; it is unread until Of has been called.
	Own any `json:"-"`
}

// Note is what a connection holds against a path.
type Note = pathstate.Note

// Watch is a sign of trouble of one subflow and when it began.
type Watch struct {
	ID    SubflowID
	Sign  Sign
	Since time.Duration
}

// Sign is a kind of trouble.
type Sign string

// The signs.
const (
	SignLoss Sign = "loss" // more than Params.LossThreshold is lost
	SignPoor Sign = "poor" // it holds the other subflows back (aggregate)
	// SignUnheard: the kernel has asked for a sign of life, and nothing has come since.
	SignUnheard Sign = "unheard"
)

// maxNotes bounds what is remembered: a concentrator's paths are addresses, and
// a client behind a moving NAT has many.
const maxNotes = 16

// Note returns what is held against a path, if anything is.
func (m *Memory) Note(path string) (Note, bool) {
	for _, n := range m.Notes {
		if n.Path == path {
			return n, true
		}
	}
	return Note{}, false
}

// Note returns what this connection holds against a path, if anything is.
func (v *View) Note(path string) (Note, bool) { return v.Memory.Note(path) }

// Probation returns for how much longer a path is set aside: it is not chosen while
// another one works, and is a backup where all paths are in use.
func (v *View) Probation(path string) time.Duration {
	n, _ := v.Note(path)
	return n.Aside(v.Conn.Age)
}

// onTrial reports whether a path has given trouble that is not forgiven yet.
func (v *View) onTrial(path string) bool {
	n, known := v.Note(path)
	return known && n.OnTrial(v.Params.Patience, v.Conn.Age)
}

// Blame notes that a path gave trouble. pathstate.Note.Again says what atOnce means.
func (v *View) Blame(path string, why reason.Reason, atOnce bool) {
	n, _ := v.Note(path)
	n.Path = path
	v.SetNote(n.Again(why, atOnce, v.Params.Patience, v.Conn.Age))
}

// OfThePath reports whether a note concerns the path and not one connection alone: the
// path loses segments, or is far away from another one.
func OfThePath(n Note) bool { return n.Far != "" || n.Reason.Kind == reasonLossy }

// SetNote replaces what is held against the note's path. Beyond maxNotes the oldest note
// goes.
func (v *View) SetNote(n Note) {
	notes := slices.Clone(v.Memory.Notes)
	i := slices.IndexFunc(notes, func(o Note) bool { return o.Path == n.Path })
	switch {
	case i >= 0:
		notes[i] = n
	case len(notes) >= maxNotes:
		notes = append(notes[1:], n)
	default:
		notes = append(notes, n)
	}
	v.Memory.Notes = notes
}

func (v *View) watching(id SubflowID, sign Sign) (int, bool) {
	i := slices.IndexFunc(v.Memory.Watches, func(w Watch) bool { return w.ID == id && w.Sign == sign })
	return i, i >= 0
}

// Lasting keeps the watch over one sign and reports whether it has been there
// for limit. While it has not, it asks to be called when it will have been.
func (v *View) Lasting(id SubflowID, sign Sign, there bool, limit time.Duration) bool {
	i, known := v.watching(id, sign)
	switch {
	case !there && known:
		v.Memory.Watches = slices.Delete(slices.Clone(v.Memory.Watches), i, i+1)
	case there && !known:
		i = len(v.Memory.Watches)
		v.Memory.Watches = append(slices.Clip(v.Memory.Watches), Watch{id, sign, v.Conn.Age})
	}
	if !there {
		return false
	}
	left := v.Memory.Watches[i].Since + limit - v.Conn.Age
	v.LookIn(left)
	return left <= 0
}

// Unwatch forgets every watch that drop is true for.
func (v *View) Unwatch(drop func(Watch) bool) {
	if slices.ContainsFunc(v.Memory.Watches, drop) {
		v.Memory.Watches = slices.DeleteFunc(slices.Clone(v.Memory.Watches), drop)
	}
	if len(v.Memory.Watches) == 0 {
		v.Memory.Watches = nil
	}
}

// Choose records which path carries the data.
func (v *View) Choose(path string) {
	if path != v.Memory.Best {
		v.Memory.Best, v.Memory.Since = path, v.Conn.Age
		v.Memory.Rival, v.Memory.RivalSince = "", 0
	}
}
