package pathstate

import "time"

const (
	// ProbeWait is how long the answer to a probe is waited for: until the kernel
	// would repeat the SYN (RFC 6298 section 2).
	ProbeWait = 900 * time.Millisecond
	// SeekGap is how often a path that is dark is asked whether it works again: then
	// nobody has to wait for the end of its back-off.
	SeekGap = time.Second
	// seekTrust is how long probes that nobody answers keep a path from being joined:
	// something on the way may answer joins and not probes.
	seekTrust = 30 * time.Second
	// probesAtOnce is how many probes may be under way on a path.
	probesAtOnce = 3
)

// RequalifyProbes is how many bare handshakes in a row a path must answer to requalify:
// at 30 % loss one path in 150 does, at 1 % four in five.
const RequalifyProbes = 14

// Handshakes is what bare handshakes, the probes, have shown of a path.
type Handshakes struct {
	asked      time.Time // when the last one left
	underWay   int
	unanswered int       // since the last answer
	silentFrom time.Time // when the first of these left
	answeredAt time.Time // when the last answer came to a single probe
	heardAt    time.Time // when the last answer came, to one in a row as well
	missedAt   time.Time // when one was last given up
}

// Due reports whether another probe may leave.
func (h *Handshakes) Due(gap time.Duration, now time.Time) bool {
	return h.underWay < probesAtOnce && now.Sub(h.asked) >= gap
}

// Leaves notes that a probe leaves, and returns how many have been unanswered since
// the last answer, this one included.
func (h *Handshakes) Leaves(now time.Time) int {
	h.asked = now
	h.underWay++
	if h.unanswered++; h.unanswered == 1 {
		h.silentFrom = now
	}
	return h.unanswered
}

// Unanswered returns how many probes have left since the last answer.
func (h *Handshakes) Unanswered() int { return h.unanswered }

// disprove forgets unanswered probes when the path has carried something since.
func (h *Handshakes) disprove(progress time.Time) {
	if h.unanswered > 0 && progress.After(h.silentFrom) {
		h.unanswered, h.silentFrom = 0, time.Time{}
	}
}

// Heard notes that a subflow has got an answer on the path at that time.
func (s *State) Heard(at time.Time) {
	s.Handshakes.disprove(at)
	s.carriedAt = later(s.carriedAt, at)
}

// HeardAgo returns how long ago anybody got an answer on the path: a single probe, or a
// subflow; 0: never.
func (s *State) HeardAgo(now time.Time) time.Duration {
	at := later(s.carriedAt, s.Handshakes.answeredAt)
	if at.IsZero() {
		return 0
	}
	return max(now.Sub(at), 1)
}

// Silent returns how long probes have been unanswered, counted from the first of at
// least two; 0: they are not. One that is lost tells nothing.
func (h *Handshakes) Silent(now time.Time) time.Duration {
	if h.unanswered < 2 {
		return 0
	}
	return now.Sub(h.silentFrom)
}

// Answered returns how long ago a probe was last answered; 0: never.
func (h *Handshakes) Answered(now time.Time) time.Duration {
	if h.answeredAt.IsZero() {
		return 0
	}
	return max(now.Sub(h.answeredAt), 1)
}

// answered reports whether a handshake has been answered from at on.
func (h *Handshakes) answeredSince(at time.Time) bool {
	return !h.heardAt.IsZero() && !h.heardAt.Before(at)
}

// ProbeAnswered takes the answer to a single probe. It reports whether that ended a
// back-off. A path that has failed again although its handshakes were answered all the
// while is not taken for good because they still are: its back-off goes on growing.
func (s *State) ProbeAnswered(rtt time.Duration, now time.Time) (ended bool) {
	h := &s.Handshakes
	h.underWay = max(h.underWay-1, 0) // the path may have gone and come back
	for k := range s.troubles {
		t := &s.troubles[k]
		if s.seeks(Kind(k), now) && now.Before(t.Until) && (t.Failures == 1 || h.missedAt.After(t.FailedAt)) {
			t.Until, s.tryingUntil, ended = now, time.Time{}, true
		}
	}
	s.heard(rtt, now)
	return ended
}

// heard takes an answer into account.
func (s *State) heard(rtt time.Duration, now time.Time) {
	h := &s.Handshakes
	h.unanswered, h.silentFrom, h.answeredAt, h.heardAt = 0, time.Time{}, now, now
	s.RTT.Replace(rtt, now)
}

// ProbeMissed takes the end of a probe that nobody has answered.
func (s *State) ProbeMissed(now time.Time) {
	s.Handshakes.underWay = max(s.Handshakes.underWay-1, 0)
	s.Handshakes.missedAt = now
	for k := range s.troubles {
		// The next probe says more than a join would.
		if t := &s.troubles[k]; s.seeks(Kind(k), now) && now.Sub(t.FailedAt) < seekTrust {
			t.Until = later(t.Until, now.Add(SeekGap+ProbeWait))
		}
	}
}

// seeks reports whether bare handshakes look for the end of this trouble: until one has
// been answered.
func (s *State) seeks(k Kind, now time.Time) bool {
	t := &s.troubles[k]
	return table[k].sought && t.open(now) && !s.Handshakes.answeredSince(t.FailedAt)
}

// Sought reports whether the path has trouble whose end a bare handshake can find.
func (s *State) Sought(now time.Time) bool {
	for k := range s.troubles {
		if s.seeks(Kind(k), now) {
			return true
		}
	}
	return false
}

// Unproven reports whether the path was left for working badly or not at all, answers
// handshakes, and has not requalified: joining it to see costs a connection what is
// lost there. A bad path that answers nothing at all is joined in the end.
func (s *State) Unproven(now time.Time) bool {
	for k := range s.troubles {
		t := &s.troubles[k]
		if !t.open(now) || !Kind(k).qualifies() || s.qualifiedAt.After(t.FailedAt) {
			continue
		}
		if s.Handshakes.answeredSince(t.FailedAt) || !table[k].sought && now.Sub(t.FailedAt) < seekTrust {
			return true
		}
	}
	return false
}

// qualifies reports whether a path with such trouble has to requalify.
func (k Kind) qualifies() bool { return table[k].sought || k.DisprovedBy(Requalified) }

// Requalified takes the outcome of probes that were sent until one was not answered,
// or RequalifyProbes were. It reports whether the path has requalified, and whether
// that ended the last trouble that it had. Where it has not, the next attempt waits.
func (s *State) Requalified(answers int, rtt time.Duration, now time.Time) (qualified, recovered bool) {
	if answers >= RequalifyProbes {
		s.heard(rtt, now)
		s.qualifiedAt = now
		s.requalify(now)
		return true, s.Learn(Requalified, now)
	}
	s.Handshakes.missedAt = now
	if answers > 0 {
		s.Handshakes.heardAt = now
	}
	for k := range s.troubles {
		if t := &s.troubles[k]; t.open(now) && Kind(k).qualifies() {
			t.Until = later(t.Until, now.Add(SeekGap))
		}
	}
	return false, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
