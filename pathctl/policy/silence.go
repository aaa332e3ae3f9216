package policy

import (
	"slices"
	"time"
)

// StallLimit returns how long a healthy subflow may leave data in flight
// unacknowledged: Params.StallRTTs round trips and four times their variation, as RFC
// 6298 section 2 has it, and what patience adds. On a path that has given trouble the
// least round trip counts instead of the last ones, which loss may have made longer. A
// subflow whose SYN was repeated has measured no round trip (RFC 6298 section 3): then
// that of its path counts.
func (v *View) StallLimit(s *Sub) time.Duration {
	rtt, spread := s.RTT, 4*s.RTTVar
	switch {
	case s.unmeasured() && s.On != Nowhere && v.Paths[s.On].RTT > 0 && v.Paths[s.On].RTT < synTimeout:
		rtt, spread = v.Paths[s.On].RTT, 2*v.Paths[s.On].RTT
	case s.unmeasured():
		rtt, spread = 0, unmeasured
	case s.UsedAgo < trialPassed && v.onTrial(s.Path):
		least := max(v.Params.StallTimeout, time.Duration(v.Params.StallRTTs*float64(s.MinRTT)))
		return min(least+trialSpread, max(v.Params.StallTimeout, time.Duration(v.Params.StallRTTs*float64(rtt))+spread))
	}
	spread += patience(rtt, s.RTTVar)
	return max(v.Params.StallTimeout, time.Duration(v.Params.StallRTTs*float64(rtt))+spread)
}

// patience returns how much the limit grows on a path whose round trips vary. The
// variation says how likely it is that a late answer is still on its way. At an eighth
// of the round trip or less nothing is added. At a quarter or more two round trips are
// added, so that the answer to a tail loss probe can arrive: the kernel sends that probe
// after two round trips of silence (RFC 8985 section 7.2). In between it grows evenly.
func patience(rtt, rttVar time.Duration) time.Duration {
	return 2 * min(rtt, max(0, 8*rttVar-rtt))
}

// trialPassed is how long a subflow is used before its own round trips count, although
// its path has given trouble. By then the queue on the path is made of its own data.
const trialPassed = 10 * time.Second

// trialSpread is added to the limit that follows from the least round trip.
const trialSpread = 100 * time.Millisecond

// unmeasured reports whether no round trip of the subflow is known. After a SYN that was
// repeated the kernel reports the time since the first SYN, which is none.
func (s *Sub) unmeasured() bool { return s.RTT == 0 || s.Sent < 2 && s.RTT >= synTimeout }

// synTimeout is just below the second after which the kernel repeats a SYN (RFC 6298
// section 2).
const synTimeout = 900 * time.Millisecond

// unmeasured is added to the limit of a subflow of which no round trip is known.
const unmeasured = 300 * time.Millisecond

// proven reports whether so many segments are unanswered that they were hardly all lost
// by chance. A thin flow has one or two in flight: when one is lost on a path that
// works, nothing is answered until the timer has expired and one round trip has passed.
func (v *View) proven(s *Sub) bool {
	switch {
	case s.Unacked == 0, v.retried(s): // how many is not known, or one is enough
		return true
	case s.Timeouts == 0:
		return s.Unacked-s.Young >= v.Params.StallBurst
	}
	return s.Unacked-s.Young+s.Timeouts >= v.Params.StallProof
}

// retried reports whether a bulk transfer has just begun to use a path that has given
// trouble. Then the silence of a single segment is enough to leave the path, because the
// whole transfer waits for that segment. After a SYN that was repeated twice the kernel
// sends only one (tcp_init_transfer, net/ipv4/tcp_input.c).
func (v *View) retried(s *Sub) bool {
	return s.UsedAgo < trialTime && v.Conn.Pending >= bulkPending && v.onTrial(s.Path)
}

// bulkPending is how many bytes wait to be sent in a bulk transfer, and never in a
// conversation.
const bulkPending = 16 << 10

// quiet reports whether a subflow whose timer has expired gets no answers at all. The
// timer also expires when a segment is lost twice while others get through: then the next
// answer comes within a round trip and its variation.
func (v *View) quiet(s *Sub) bool {
	return s.Timeouts > 2 || s.Stalled >= max(min(v.Params.StallTimeout, quietTime), s.RTT+4*s.RTTVar+patience(s.RTT, s.RTTVar))
}

// quietTime is the most that Params.StallTimeout adds to that wait: a mode that is to
// judge by the timer alone sets StallTimeout to its longest.
const quietTime = 150 * time.Millisecond

// silent reports whether probes on a subflow's path have been unanswered for too long.
// While the subflow itself misses nothing there is time to be sure.
func (v *View) silent(s *Sub) bool {
	if s.On == Nowhere {
		return false
	}
	limit := max(v.Params.ProbeTimeout, time.Duration(v.Params.StallRTTs*float64(s.RTT)))
	if s.Stalled == 0 && s.Arrival < v.Params.DoubtRate {
		limit = max(calmProbes*limit, v.Params.JoinPatience)
	}
	return v.Paths[s.On].Silent >= limit
}

// calmProbes is how many times longer probes may be unanswered when the subflow itself
// misses nothing.
const calmProbes = 3

// youngLook is how soon a silent subflow is looked at again when too many of its segments
// in flight were sent within the last round trip.
const youngLook = 15 * time.Millisecond

// doubt asks for probes where data stopped arriving in full flow. Our own sending
// cannot show whether that is the end of a transfer or of the path: only
// acknowledgements leave this end. The first answer settles it.
func (v *View) doubt() {
	for i := range v.Subs {
		s := &v.Subs[i]
		if !s.Ready() || s.On == Nowhere || s.Arrival < v.Params.DoubtRate || !v.choice() {
			continue
		}
		if a := v.Paths[s.On].Answered; a > 0 && a < s.Quiet {
			continue
		}
		after := max(v.Params.StallTimeout/2, 2*s.RTT+4*s.RTTVar)
		if v.LookIn(after - s.Quiet); s.Quiet >= after && s.Quiet < after+doubtFor {
			v.Ask(s.On)
			v.LookIn(v.Params.ProbeTimeout)
		}
	}
}

// Ask requests a probe on a path.
func (v *View) Ask(path int) {
	if name := v.Paths[path].Name; !slices.Contains(v.probe, name) {
		v.probe = append(v.probe, name)
	}
}

// doubtFor bounds the probing after a transfer that simply ended.
const doubtFor = 2 * time.Second
