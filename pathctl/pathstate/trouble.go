package pathstate

import "time"

// Trouble is what one kind of trouble has come to on a path. The zero value says that
// there was none.
type Trouble struct {
	Failures int       // in a row
	Since    time.Time // when the first of them was seen
	FailedAt time.Time // when the last of them was counted
	Until    time.Time // the path is left alone until then
	OverAt   time.Time // when evidence disproved it; zero: none has
	Reason   string    // what was seen, in words
}

// open reports whether the trouble has been seen, and neither evidence nor time has
// disproved it.
func (t *Trouble) open(now time.Time) bool {
	return t.Failures > 0 && t.OverAt.IsZero() && now.Sub(t.Until) < forget
}

const (
	// steady is for how long a path must have been well before a failure counts as the
	// first one again.
	steady = 10 * time.Second
	// forget is how long after its back-off trouble is over by itself when nobody has
	// seen it again: the network has changed by then.
	forget = 10 * time.Minute
	// TryTime is for how long a subflow that is being opened keeps others from trying
	// the same path: two SYNs go unanswered in it.
	TryTime = 3 * time.Second
)

// Fail notes trouble at now of something that began at since: a subflow, an attempt
// to open one, a leg. Many connections find out one after the other that their path
// fails: while it is left alone, and when they began before the last failure that
// counted, that is no news.
func (s *State) Fail(k Kind, why string, since, now time.Time) {
	t := &s.troubles[k]
	if now.Before(t.Until) || k < Overtaken && s.Waits(now) {
		return
	}
	switch {
	case !t.OverAt.IsZero() && now.Sub(t.OverAt) >= steady, now.Sub(t.Until) >= forget:
		t.Failures, t.FailedAt, t.Since = 1, now, now
	case since.Before(t.FailedAt) && now.Sub(t.FailedAt) < steady:
		// the same failure, seen by another one
	default:
		t.Failures++
		t.FailedAt = now
	}
	first, longest := k.Backoff()
	t.Until = now.Add(backOff(t.Failures, first, longest))
	t.OverAt, t.Reason = time.Time{}, why
	s.tryingUntil = time.Time{}
}

// Learn takes evidence into account that the path works. It reports whether that ended
// the last trouble that the path had.
func (s *State) Learn(e Evidence, now time.Time) (recovered bool) {
	if e >= Established {
		s.tryingUntil = time.Time{}
	}
	if e == Established {
		s.JoinedAt = now
	}
	for k := range s.troubles {
		if t := &s.troubles[k]; t.open(now) && Kind(k).DisprovedBy(e) {
			t.OverAt, t.Until = now, now
			recovered = true
		}
	}
	return recovered && !s.Troubled(now)
}

// Waits reports whether the path is left alone at now.
func (s *State) Waits(now time.Time) bool {
	for k := range s.troubles {
		if now.Before(s.troubles[k].Until) {
			return true
		}
	}
	return false
}

// Troubled reports whether trouble was seen that nothing has disproved.
func (s *State) Troubled(now time.Time) bool {
	for k := range s.troubles {
		if s.troubles[k].open(now) {
			return true
		}
	}
	return false
}

// Worst returns the trouble that nothing has disproved and that keeps the path unused
// for longest; ok is false when there is none.
func (s *State) Worst(now time.Time) (k Kind, t Trouble, ok bool) {
	for i := range s.troubles {
		if u := s.troubles[i]; u.open(now) && u.Until.After(t.Until) {
			k, t, ok = Kind(i), u, true
		}
	}
	return k, t, ok
}

// LeftAlone returns what the path is left alone for, and until when; ok is false when
// it may be used.
func (s *State) LeftAlone(now time.Time) (k Kind, t Trouble, ok bool) {
	k, t, ok = s.Worst(now)
	return k, t, ok && now.Before(t.Until)
}

// Avoid reports whether new connections should rather begin on another path: while it
// is left alone, and while somebody finds out whether it works again.
func (s *State) Avoid(now time.Time) bool {
	for k := range s.troubles {
		if t := &s.troubles[k]; t.open(now) && now.Before(t.Until.Add(TryTime)) {
			return true
		}
	}
	return false
}

// Retry returns for how long no subflow is to be opened on the path; 0: it may be.
func (s *State) Retry(now time.Time) time.Duration {
	if _, t, ok := s.LeftAlone(now); ok {
		return t.Until.Sub(now)
	}
	for k := range s.troubles {
		if s.troubles[k].open(now) && Kind(k).DisprovedBy(Established) && now.Before(s.tryingUntil) {
			return s.tryingUntil.Sub(now) // somebody finds out
		}
	}
	return 0
}

// Trying notes that a connection opens a subflow on the path: after trouble the others
// wait for what it finds.
func (s *State) Trying(now time.Time) { s.tryingUntil = now.Add(TryTime) }
