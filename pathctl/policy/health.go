package policy

import (
	"fmt"
	"slices"
	"time"
)

// fault is why a subflow cannot be relied on. It is put into words only when
// something is done about it.
type fault struct {
	kind        faultKind
	took, limit time.Duration
	rate, most  float64
}

type faultKind uint8

const (
	healthy    faultKind = iota
	isAway               // its path is down, gone or not allowed
	isUnjoined           // the peer did not answer its request
	isSilent             // probes on its path are unanswered
	isStalled            // data in flight is not acknowledged
	isTimedOut           // its timer expired and is long
	isLossy              // it loses much more than another path does
)

func (f fault) describe(where string) string {
	switch f.kind {
	case isAway:
		return where + " is down or not allowed"
	case isUnjoined:
		return fmt.Sprintf("no answer to MP_JOIN for %s on %s", words(f.took), where)
	case isSilent:
		return fmt.Sprintf("probes unanswered for %s on %s", words(f.took), where)
	case isStalled:
		return fmt.Sprintf("no progress for %s on %s (limit %s)", words(f.took), where, words(f.limit))
	case isTimedOut:
		return fmt.Sprintf("RTO %s ≥ %s on %s", words(f.took), words(f.limit), where)
	case isLossy:
		return fmt.Sprintf("loss %s ≥ %s on %s", percent(f.rate), percent(f.most), where)
	}
	return where + " works"
}

// words writes a duration for people: "240 ms", "1.09 s".
func words(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }

// away finds subflows whose path is not there. The kernel keeps such a subflow
// until its timers run out (KERNEL: minutes).
func (v *view) away(s *sub) fault {
	if s.Path == "" || s.path != nowhere && v.paths[s.path].Up {
		return fault{}
	}
	return fault{kind: isAway}
}

// examine finds the faults of all subflows. Loss comes last: it counts only
// where another path is better. Where paths are not known, none is away.
func (v *view) examine(pathsKnown bool) {
	acts := v.choice()
	for i := range v.subs {
		if pathsKnown {
			v.subs[i].fault = v.away(&v.subs[i])
		}
		if s := &v.subs[i]; s.fault.kind == healthy {
			s.fault = v.faultOf(s, acts)
		}
	}
	if v.c.Mode != Single {
		v.examineLoss()
	}
}

// examineLoss finds the subflows that lose too much for long enough, and
// another subflow does not. When all paths in use have one, a path without
// subflows may be better.
func (v *view) examineLoss() {
	var found [inline]int
	lossy := found[:0]
	for i := range v.subs {
		if s := &v.subs[i]; s.ready() && v.loses(s) {
			lossy = append(lossy, i)
		}
	}
	all, n := v.allOn(lossy), 0
	for _, i := range lossy {
		if v.subflowLosesLess(i) || all && v.pathLosesLess() {
			lossy[n] = i
			n++
		}
	}
	for _, i := range lossy[:n] { // after all were compared
		s := &v.subs[i]
		s.fault = fault{kind: isLossy, rate: s.lossNow(), most: v.p.LossThreshold}
	}
}

// allOn reports whether every ready subflow shares its path with one of those.
func (v *view) allOn(some []int) bool {
	for i := range v.subs {
		s := &v.subs[i]
		if s.ready() && !slices.ContainsFunc(some, func(j int) bool { return v.subs[j].Path == s.Path }) {
			return false
		}
	}
	return true
}

// choice reports whether anything could be done about a fault: without a
// second subflow or path nobody needs to look often.
func (v *view) choice() bool {
	if len(v.subs) > 1 {
		return true
	}
	for i := range v.paths {
		if v.c.Mode != Single && v.creatable(i) {
			return true
		}
	}
	return false
}

// faultOf looks at one subflow alone.
func (v *view) faultOf(s *sub, acts bool) fault {
	if !s.Established {
		v.lookIn(v.p.JoinTimeout - s.Age)
		if s.Age >= v.p.JoinTimeout {
			return fault{kind: isUnjoined, took: s.Age}
		}
		return fault{}
	}
	limit := v.stallLimit(s)
	if acts && s.Stalled > 0 {
		v.lookIn(limit - s.Stalled)
		if s.Stalled >= limit {
			v.lookIn(limit / 2)
			if s.Young > 0 {
				v.lookIn(youngLook)
			}
		}
		if v.lookIn(limit/2 - s.Stalled); s.Stalled >= limit/2 && s.path != nowhere && !v.proven(s) {
			v.ask(s.path) // few segments in flight prove nothing
			v.lookIn(v.p.ProbeTimeout / 2)
		}
	} else if acts && s.Busy && s.Unacked > 0 {
		v.lookIn(limit / 2) // a stall that begins now is seen before it is one
	}
	switch {
	case v.c.Mode == Single: // there is nothing to change to
		return fault{}
	case v.silent(s):
		return fault{kind: isSilent, took: v.paths[s.path].Silent}
	case s.Timeouts > 0 && s.RTO >= v.p.RTOThreshold && v.proven(s) && v.quiet(s):
		return fault{kind: isTimedOut, took: s.RTO, limit: v.p.RTOThreshold}
	case s.Stalled >= limit && v.proven(s):
		return fault{kind: isStalled, took: s.Stalled, limit: limit}
	}
	return fault{}
}

// youngLook is how soon the segments in flight are looked at again, of which too
// many were young.
const youngLook = 15 * time.Millisecond

// quiet tells the timer of a path that is silent from one that expired because what
// had been sent again was lost, too, while newer segments got through: then their
// answers, or that to the next attempt, come within a round trip.
func (v *view) quiet(s *sub) bool {
	return s.Timeouts > 2 || s.Stalled >= max(min(v.p.StallTimeout, quietTime), s.RTT+4*s.RTTVar+patience(s.RTT, s.RTTVar))
}

// quietTime is for modes that judge by the timer alone, and have the longest limit.
const quietTime = 150 * time.Millisecond

// stallLimit is how long a healthy subflow may leave data in flight
// unacknowledged. Where loss has blown up round trips before, the least one
// rules; where none was measured, because the SYN had to be repeated (RFC 6298
// section 3), that of the path.
func (v *view) stallLimit(s *sub) time.Duration {
	rtt, spread := s.RTT, 4*s.RTTVar
	switch {
	case s.unmeasured() && s.path != nowhere && v.paths[s.path].RTT > 0 && v.paths[s.path].RTT < synTimeout:
		rtt, spread = v.paths[s.path].RTT, 2*v.paths[s.path].RTT
	case s.unmeasured():
		rtt, spread = 0, unmeasured
	case s.UsedAgo < trialPassed && v.onTrial(s.Path):
		least := max(v.p.StallTimeout, time.Duration(v.p.StallRTTs*float64(s.MinRTT)))
		return min(least+trialSpread, max(v.p.StallTimeout, time.Duration(v.p.StallRTTs*float64(rtt))+spread))
	}
	spread += patience(rtt, s.RTTVar)
	return max(v.p.StallTimeout, time.Duration(v.p.StallRTTs*float64(rtt))+spread)
}

// patience is for how much longer a path may be silent whose round trips vary: by a
// quarter, and two more must pass, for the answers to a tail loss probe, which leaves
// after two (RFC 8985 section 7.2), or to the timer behind it; by an eighth, none.
func patience(rtt, rttVar time.Duration) time.Duration {
	return 2 * min(rtt, max(0, 8*rttVar-rtt))
}

// trialPassed is how long a subflow must be well for its path's past not to be held
// against its round trips: what is in its queue then is its own.
const trialPassed = 10 * time.Second

// trialSpread is how much longer a path with a past may take than its least round
// trip says.
const trialSpread = 100 * time.Millisecond

// unmeasured reports whether no round trip is known, or only that of a handshake
// whose SYN was repeated, which is counted from the first one.
func (s *sub) unmeasured() bool { return s.RTT == 0 || s.Sent < 2 && s.RTT >= synTimeout }

// synTimeout is after what time the kernel repeats a SYN, nearly (RFC 6298 section 2).
const synTimeout = 900 * time.Millisecond

// unmeasured is what a subflow gets of which no round trip is known.
const unmeasured = 300 * time.Millisecond

// proven tells the silence of a path from the loss of a packet or two: one lost
// packet of a thin flow is silent for RTO + RTT on a path that is well.
func (v *view) proven(s *sub) bool {
	switch {
	case s.Unacked == 0, v.retried(s): // not known, or not needed
		return true
	case s.Timeouts == 0:
		return s.Unacked-s.Young >= v.p.StallBurst
	}
	return s.Unacked-s.Young+s.Timeouts >= v.p.StallProof
}

// retried reports whether a bulk transfer has just begun to use a path that has given
// trouble: everything waits for the one segment there. After a SYN that was repeated
// twice it is one indeed (tcp_init_transfer, net/ipv4/tcp_input.c).
func (v *view) retried(s *sub) bool {
	return s.UsedAgo < trialTime && v.c.Pending >= bulkPending && v.onTrial(s.Path)
}

// bulkPending is how many bytes that wait are no conversation.
const bulkPending = 16 << 10

// silent reports whether probes on a subflow's path are unanswered. Where nothing
// else is missing there is time to be sure.
func (v *view) silent(s *sub) bool {
	if s.path == nowhere {
		return false
	}
	limit := max(v.p.ProbeTimeout, time.Duration(v.p.StallRTTs*float64(s.RTT)))
	if s.Stalled == 0 && s.Arrival < v.p.DoubtRate {
		limit = max(calmProbes*limit, v.p.JoinPatience)
	}
	return v.paths[s.path].Silent >= limit
}

// calmProbes is how many times longer the probes of a path may be unanswered on
// which nothing is missing.
const calmProbes = 3

// loses reports whether a subflow has lost too much for long enough. Once it
// does, half the threshold keeps it there.
func (v *view) loses(s *sub) bool {
	threshold := v.p.LossThreshold
	if n, noted := v.note(s.Path); noted && s.UsedAgo < min(trialTime, v.c.Age-n.Until) {
		if s.inUse() {
			v.lookIn(trialLook)
		}
		if s.Fresh >= trialSample && s.FreshLoss >= threshold && !s.overflows() {
			return true
		}
	}
	if _, known := v.watching(s.ID, SignLoss); known {
		threshold /= 2
	}
	return v.lasting(s.ID, SignLoss, s.FloorKnown && s.LossFloor >= threshold && !s.overflows(), v.p.LossTime)
}

// A path that has given trouble is on trial when it is used after that: for a time
// fewer segments tell, and they are counted more often. Of 20 segments four are lost
// by chance once in 20,000 times at 1 %, and 9 times in 10 at 30 %.
const (
	trialTime   = 2 * time.Second
	trialSample = 20
	trialLook   = 30 * time.Millisecond
)

// subflowLosesLess reports whether a subflow on another path is not known to lose
// nearly as much as subflow i. Those on its own path lose to each other.
func (v *view) subflowLosesLess(i int) bool {
	most := v.subs[i].lossNow() / v.p.LossAdvantage
	for j := range v.subs {
		if s := &v.subs[j]; j != i && (s.Path != v.subs[i].Path || s.Path == "") && s.ready() && (!s.FloorKnown || s.LossFloor <= most) {
			return true
		}
	}
	return false
}

// overflows reports whether a subflow's losses are those of a queue that it has
// filled itself: while it looks for its rate, in its first seconds, or, with bbr, when
// it takes the path for faster than it is. As much as ever gets through then, and round
// trips are long. What a path loses by itself is missing.
func (s *sub) overflows() bool {
	return (s.Starting || s.Share == 0 || s.Share >= fullShare) && s.queues()
}

// queues reports whether round trips are long, which those of a path that loses much
// are not: it never gets as far as to fill a queue.
func (s *sub) queues() bool { return s.RTT >= 3*s.MinRTT/2 }

// fullShare of the best rate is as much as ever: seconds differ by a tenth.
const fullShare = 0.8

// lossNow is how much a subflow loses all the time, or, on trial, lately.
func (s *sub) lossNow() (rate float64) {
	if s.FloorKnown {
		rate = s.LossFloor
	}
	if s.Fresh >= trialSample && s.UsedAgo < trialTime {
		rate = max(rate, s.FreshLoss)
	}
	return rate
}

// pathLosesLess reports whether a path on which nothing is established could
// have a subflow, or is about to: nothing is known of its loss then.
func (v *view) pathLosesLess() bool {
	for k := range v.paths {
		if v.readyOn(k) == nowhere && (v.creatable(k) && !v.paths[k].Unproven || v.pendingOn(k, v.p.JoinTimeout)) {
			return true
		}
	}
	return false
}

// pendingOn reports whether a subflow younger than limit is being established
// on a path.
func (v *view) pendingOn(path int, limit time.Duration) bool {
	for i := range v.subs {
		if s := &v.subs[i]; s.path == path && !s.Established && s.fault.kind == healthy && s.Age < limit {
			return true
		}
	}
	return false
}

// doubt asks for probes where data stopped arriving in full flow. Our own sending
// cannot show whether that is the end of a transfer or of the path: only
// acknowledgements leave this end. The first answer settles it.
func (v *view) doubt() {
	for i := range v.subs {
		s := &v.subs[i]
		if !s.ready() || s.path == nowhere || s.Arrival < v.p.DoubtRate || !v.choice() {
			continue
		}
		if a := v.paths[s.path].Answered; a > 0 && a < s.Quiet {
			continue
		}
		after := max(v.p.StallTimeout/2, 2*s.RTT+4*s.RTTVar)
		if v.lookIn(after - s.Quiet); s.Quiet >= after && s.Quiet < after+doubtFor {
			v.ask(s.path)
			v.lookIn(v.p.ProbeTimeout)
		}
	}
}

// ask requests a probe on a path.
func (v *view) ask(path int) {
	if name := v.paths[path].Name; !slices.Contains(v.probe, name) {
		v.probe = append(v.probe, name)
	}
}

// doubtFor bounds the probing after a transfer that simply ended.
const doubtFor = 2 * time.Second
