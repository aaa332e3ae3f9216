package pathstate

import (
	"time"

	"mpproxy/pathctl/reason"
)

// Note is what is held against a path on which subflows work, but badly: the path is set
// aside until then, which means that it is a backup. Afterwards it is on trial until it is
// forgiven: less is enough to set it aside again. Every connection keeps notes of its own,
// because a path can be bad for one of them and good for the next; State.Keep is for those
// that concern the path itself.
//
// Times count from a moment that belongs to whoever keeps the note: the beginning of a
// connection, or a time that is given with it.
type Note struct {
	Path   string
	Reason reason.Reason `json:"Why"`
	// Failures counts them; a path that is forgiven begins anew.
	Failures int
	// Until is when the path is no longer set aside.
	Until time.Duration
	// Far is the path that this one is too far away from to be of use beside it.
	Far string `json:",omitempty"`
}

// Patience says for how long something is held against a path.
type Patience struct {
	// Hold is how long the path is set aside at first, HoldMax at the most.
	Hold, HoldMax time.Duration
	// Forgive is how long a path that is no longer set aside is still on trial.
	Forgive time.Duration
}

// Again returns the note with further trouble at now. With atOnce the path is set aside
// now: that is for loss and queues, which a subflow that joins does not disprove. Other
// trouble sets it aside when it comes again.
func (n Note) Again(why reason.Reason, atOnce bool, p Patience, now time.Duration) Note {
	if !n.OnTrial(p, now) {
		n.Failures = 0
	}
	n.Failures++
	n.Reason, n.Far = why, ""
	times := n.Failures
	if !atOnce {
		times--
	}
	n.Until = now + backOff(times, p.Hold, p.HoldMax)
	return n
}

// Aside returns for how much longer the path is set aside.
func (n Note) Aside(now time.Duration) time.Duration { return max(0, n.Until-now) }

// OnTrial reports whether the trouble is not forgiven yet.
func (n Note) OnTrial(p Patience, now time.Duration) bool { return now-n.Until <= p.Forgive }

// backOff returns how long a path is left after so many failures in a row: first after
// the first one, twice as long after each further one, longest at the most.
func backOff(failures int, first, longest time.Duration) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(first<<min(failures-1, 16), longest)
}

// noted is a note that is kept for all connections. Its times count from at.
type noted struct {
	note Note
	at   time.Time // zero: there is none
}

// Keep keeps a note for all connections. Its times count from at. Of two notes that stays
// which sets the path aside for longer.
func (s *State) Keep(n Note, at time.Time) {
	if old, ok := s.Noted(at); !ok || n.Until >= old.Until {
		s.noted = noted{n, at}
	}
}

// Noted returns the note that is kept for all connections, with times that count from at;
// ok is false if there is none.
func (s *State) Noted(at time.Time) (n Note, ok bool) {
	if s.noted.at.IsZero() {
		return Note{}, false
	}
	n = s.noted.note
	n.Until += s.noted.at.Sub(at)
	return n, true
}

// requalify ends the time for which the path is set aside for losing much: it is on trial
// from now on. Answers to handshakes do not bring a far path nearer.
func (s *State) requalify(now time.Time) {
	if n, ok := s.Noted(now); ok && n.Far == "" && n.Until > 0 {
		n.Until = 0
		s.noted = noted{n, now}
	}
}
