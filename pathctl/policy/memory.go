package policy

import (
	"slices"
	"time"
)

// Memory is what a policy remembers of a connection between two plans. It is a
// value like any other: Decide never changes the one it was given, it can be
// written as JSON, and its times are ages of the connection.
type Memory struct {
	// Best is the path that carries the data in modes that choose one, since
	// the age Since. In aggregate it is the path that delivered most.
	Best  string        `json:",omitempty"`
	Since time.Duration `json:",omitempty"`
	// Rival is a path that has looked better than Best since RivalSince
	// (interactive).
	Rival      string        `json:",omitempty"`
	RivalSince time.Duration `json:",omitempty"`
	// Turn counts rounds without gain (refresh), late blocks (streaming), and is 1
	// once a flow was long enough (lazy).
	Turn int `json:",omitempty"`
	// Mark and MarkIn are counts at the age At: of bytes sent and received when
	// a block or burst began (streaming, lazy); in aggregate Mark is the best
	// rate that one subflow had, in bytes a second.
	Mark   uint64        `json:",omitempty"`
	MarkIn uint64        `json:",omitempty"`
	At     time.Duration `json:",omitempty"`
	// Rate is that of the connection, in bytes a second, before the last round
	// (refresh).
	Rate uint64 `json:",omitempty"`
	// Stage is how far a round has come since the age At, and Counts what the
	// subflows had carried then (refresh).
	Stage  Stage     `json:",omitempty"`
	Counts []Carried `json:",omitempty"`
	// Parked are the subflows that were parked last in the round, the slowest first,
	// Total is the rate of all before that, in bytes a second, and Proven are those
	// without which it was less (refresh).
	Parked []SubflowID `json:",omitempty"`
	Total  uint64      `json:",omitempty"`
	Proven []SubflowID `json:",omitempty"`
	// Seen is Conn.Received at the last plan (streaming).
	Seen uint64 `json:",omitempty"`
	// Active says that a block or burst that began at At is going on.
	Active bool `json:",omitempty"`
	// Checked says that this block was looked at half-way (streaming).
	Checked bool `json:",omitempty"`
	// Lost is when the last of several on a path was dropped for having failed,
	// and Stood when most of them were found not to move (ndiffports, refresh).
	Lost  time.Duration `json:",omitempty"`
	Stood time.Duration `json:",omitempty"`
	// Notes are the paths that gave trouble, Watches the signs of trouble that
	// must last before they count.
	Notes   []Note  `json:",omitempty"`
	Watches []Watch `json:",omitempty"`
}

// Note is what is held against a path.
type Note struct {
	Path string
	Why  string
	// Failures counts, with forgiveness after Params.Forgive without one.
	Failures int
	// Until is the age to which the path is on probation: not chosen while
	// another one works, and backup where all paths are in use.
	Until time.Duration
	// Far is the path that this one is too far away from, to be of use beside it: no
	// matter of this connection only.
	Far string `json:",omitempty"`
}

// Carried is how many bytes a subflow had carried, both ways.
type Carried struct {
	ID    SubflowID
	Bytes uint64
}

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

func (v *view) note(path string) (Note, bool) { return v.m.Note(path) }

// probation is how long a path is still not to be chosen.
func (v *view) probation(path string) time.Duration {
	n, _ := v.note(path)
	return max(0, n.Until-v.c.Age)
}

// onTrial reports whether a path has given trouble that is not forgiven yet.
func (v *view) onTrial(path string) bool {
	n, known := v.note(path)
	return known && v.c.Age-n.Until <= v.p.Forgive
}

// blame notes that a path gave trouble. Trouble of a kind that a successful
// join does not disprove (loss, queues) puts the path on probation at once;
// failure in itself does when it repeats. Each further time doubles it.
func (v *view) blame(path, why string, atOnce bool) {
	n, known := v.note(path)
	if known && v.c.Age-n.Until > v.p.Forgive {
		n.Failures = 0
	}
	n.Path, n.Why, n.Far = path, why, ""
	n.Failures++
	doublings := n.Failures - 1
	if !atOnce {
		doublings--
	}
	n.Until = v.c.Age
	if doublings >= 0 {
		n.Until += min(v.p.Hold<<min(doublings, 16), v.p.HoldMax)
	}
	v.setNote(n)
}

func (v *view) setNote(n Note) {
	notes := slices.Clone(v.m.Notes)
	i := slices.IndexFunc(notes, func(o Note) bool { return o.Path == n.Path })
	switch {
	case i >= 0:
		notes[i] = n
	case len(notes) >= maxNotes:
		notes = append(notes[1:], n)
	default:
		notes = append(notes, n)
	}
	v.m.Notes = notes
}

func (v *view) watching(id SubflowID, sign Sign) (int, bool) {
	i := slices.IndexFunc(v.m.Watches, func(w Watch) bool { return w.ID == id && w.Sign == sign })
	return i, i >= 0
}

// lasting keeps the watch over one sign and reports whether it has been there
// for limit. While it has not, it asks to be called when it will have been.
func (v *view) lasting(id SubflowID, sign Sign, there bool, limit time.Duration) bool {
	i, known := v.watching(id, sign)
	switch {
	case !there && known:
		v.m.Watches = slices.Delete(slices.Clone(v.m.Watches), i, i+1)
	case there && !known:
		i = len(v.m.Watches)
		v.m.Watches = append(slices.Clip(v.m.Watches), Watch{id, sign, v.c.Age})
	}
	if !there {
		return false
	}
	left := v.m.Watches[i].Since + limit - v.c.Age
	v.lookIn(left)
	return left <= 0
}

// unwatch forgets every watch that drop is true for.
func (v *view) unwatch(drop func(Watch) bool) {
	if slices.ContainsFunc(v.m.Watches, drop) {
		v.m.Watches = slices.DeleteFunc(slices.Clone(v.m.Watches), drop)
	}
	if len(v.m.Watches) == 0 {
		v.m.Watches = nil
	}
}

// choose records which path carries the data.
func (v *view) choose(path string) {
	if path != v.m.Best {
		v.m.Best, v.m.Since = path, v.c.Age
		v.m.Rival, v.m.RivalSince = "", 0
	}
}
