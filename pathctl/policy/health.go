package policy

import (
	"slices"
	"time"
)

// fault is why a subflow cannot be relied on.
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

// reason says what is wrong on a path, or with a subflow of that name.
func (f fault) reason(where string) Reason {
	kinds := [...]ReasonKind{
		isAway: reasonAway, isUnjoined: reasonUnjoined, isSilent: reasonSilent,
		isStalled: reasonStalled, isTimedOut: reasonTimedOut, isLossy: reasonLossy,
	}
	return Reason{Kind: kinds[f.kind], Path: where, Took: f.took, Limit: f.limit, Rate: f.rate, Most: f.most}
}

// away finds subflows whose path is not there. The kernel keeps such a subflow
// until its timers run out (KERNEL: minutes).
func (v *View) away(s *Sub) fault {
	if s.Path == "" || s.On != Nowhere && v.Paths[s.On].Up {
		return fault{}
	}
	return fault{kind: isAway}
}

// examine finds the faults of all subflows. Loss comes last: it counts only
// where another path is better. Where paths are not known, none is away.
func (v *View) examine(pathsKnown bool) {
	acts := v.choice()
	for i := range v.Subs {
		if pathsKnown {
			v.Subs[i].fault = v.away(&v.Subs[i])
		}
		if s := &v.Subs[i]; s.fault.kind == healthy {
			s.fault = v.faultOf(s, acts)
		}
	}
	if !v.mode.Alone {
		v.examineLoss()
	}
}

// examineLoss finds the subflows that lose too much for long enough, and
// another subflow does not. When all paths in use have one, a path without
// subflows may be better.
func (v *View) examineLoss() {
	var found [inline]int
	lossy := found[:0]
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Ready() && v.loses(s) {
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
		s := &v.Subs[i]
		s.fault = fault{kind: isLossy, rate: s.lossNow(), most: v.Params.LossThreshold}
	}
}

// allOn reports whether every ready subflow shares its path with one of those.
func (v *View) allOn(some []int) bool {
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.Ready() && !slices.ContainsFunc(some, func(j int) bool { return v.Subs[j].Path == s.Path }) {
			return false
		}
	}
	return true
}

// choice reports whether anything could be done about a fault: without a
// second subflow or path nobody needs to look often.
func (v *View) choice() bool {
	if len(v.Subs) > 1 {
		return true
	}
	for i := range v.Paths {
		if !v.mode.Alone && v.Creatable(i) {
			return true
		}
	}
	return false
}

// faultOf looks at one subflow alone.
func (v *View) faultOf(s *Sub, acts bool) fault {
	if !s.Established {
		v.LookIn(v.Params.JoinTimeout - s.Age)
		if s.Age >= v.Params.JoinTimeout {
			return fault{kind: isUnjoined, took: s.Age}
		}
		return fault{}
	}
	limit := v.StallLimit(s)
	if acts && s.Stalled > 0 {
		v.LookIn(limit - s.Stalled)
		if s.Stalled >= limit {
			v.LookIn(limit / 2)
			if s.Young > 0 {
				v.LookIn(youngLook)
			}
		}
		if v.LookIn(limit/2 - s.Stalled); s.Stalled >= limit/2 && s.On != Nowhere && !v.proven(s) {
			v.Ask(s.On) // few segments in flight prove nothing
			v.LookIn(v.Params.ProbeTimeout / 2)
		}
	} else if acts && s.Busy && s.Unacked > 0 {
		v.LookIn(limit / 2) // a stall that begins now is seen before it is one
	}
	switch {
	case v.mode.Alone: // there is nothing to change to
		return fault{}
	case v.silent(s):
		return fault{kind: isSilent, took: v.Paths[s.On].Silent}
	case s.Timeouts > 0 && s.RTO >= v.Params.RTOThreshold && v.proven(s) && v.quiet(s):
		return fault{kind: isTimedOut, took: s.RTO, limit: v.Params.RTOThreshold}
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
func (v *View) quiet(s *Sub) bool {
	return s.Timeouts > 2 || s.Stalled >= max(min(v.Params.StallTimeout, quietTime), s.RTT+4*s.RTTVar+patience(s.RTT, s.RTTVar))
}

// quietTime is for modes that judge by the timer alone, and have the longest limit.
const quietTime = 150 * time.Millisecond

// stallLimit is how long a healthy subflow may leave data in flight
// unacknowledged. Where loss has blown up round trips before, the least one
// rules; where none was measured, because the SYN had to be repeated (RFC 6298
// section 3), that of the path.
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
func (s *Sub) unmeasured() bool { return s.RTT == 0 || s.Sent < 2 && s.RTT >= synTimeout }

// synTimeout is after what time the kernel repeats a SYN, nearly (RFC 6298 section 2).
const synTimeout = 900 * time.Millisecond

// unmeasured is what a subflow gets of which no round trip is known.
const unmeasured = 300 * time.Millisecond

// proven tells the silence of a path from the loss of a packet or two: one lost
// packet of a thin flow is silent for RTO + RTT on a path that is well.
func (v *View) proven(s *Sub) bool {
	switch {
	case s.Unacked == 0, v.retried(s): // not known, or not needed
		return true
	case s.Timeouts == 0:
		return s.Unacked-s.Young >= v.Params.StallBurst
	}
	return s.Unacked-s.Young+s.Timeouts >= v.Params.StallProof
}

// retried reports whether a bulk transfer has just begun to use a path that has given
// trouble: everything waits for the one segment there. After a SYN that was repeated
// twice it is one indeed (tcp_init_transfer, net/ipv4/tcp_input.c).
func (v *View) retried(s *Sub) bool {
	return s.UsedAgo < trialTime && v.Conn.Pending >= bulkPending && v.onTrial(s.Path)
}

// bulkPending is how many bytes that wait are no conversation.
const bulkPending = 16 << 10

// silent reports whether probes on a subflow's path are unanswered. Where nothing
// else is missing there is time to be sure.
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

// calmProbes is how many times longer the probes of a path may be unanswered on
// which nothing is missing.
const calmProbes = 3

// loses reports whether a subflow has lost too much for long enough. Once it
// does, half the threshold keeps it there.
func (v *View) loses(s *Sub) bool {
	threshold := v.Params.LossThreshold
	if n, noted := v.Note(s.Path); noted && s.UsedAgo < min(trialTime, v.Conn.Age-n.Until) {
		if s.InUse() {
			v.LookIn(trialLook)
		}
		if s.Fresh >= trialSample && s.FreshLoss >= threshold && !s.overflows() {
			return true
		}
	}
	if _, known := v.watching(s.ID, SignLoss); known {
		threshold /= 2
	}
	return v.Lasting(s.ID, SignLoss, s.FloorKnown && s.LossFloor >= threshold && !s.overflows(), v.Params.LossTime)
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
func (v *View) subflowLosesLess(i int) bool {
	most := v.Subs[i].lossNow() / v.Params.LossAdvantage
	for j := range v.Subs {
		if s := &v.Subs[j]; j != i && (s.Path != v.Subs[i].Path || s.Path == "") && s.Ready() && (!s.FloorKnown || s.LossFloor <= most) {
			return true
		}
	}
	return false
}

// overflows reports whether a subflow's losses are those of a queue that it has
// filled itself: while it looks for its rate, in its first seconds, or, with bbr, when
// it takes the path for faster than it is. As much as ever gets through then, and round
// trips are long. What a path loses by itself is missing.
func (s *Sub) overflows() bool {
	return (s.Starting || s.Share == 0 || s.Share >= fullShare) && s.queues()
}

// queues reports whether round trips are long, which those of a path that loses much
// are not: it never gets as far as to fill a queue.
func (s *Sub) queues() bool { return s.RTT >= 3*s.MinRTT/2 }

// fullShare of the best rate is as much as ever: seconds differ by a tenth.
const fullShare = 0.8

// lossNow is how much a subflow loses all the time, or, on trial, lately.
func (s *Sub) lossNow() (rate float64) {
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
func (v *View) pathLosesLess() bool {
	for k := range v.Paths {
		if v.ReadyOn(k) == Nowhere && (v.Creatable(k) && !v.Paths[k].Unproven || v.pendingOn(k, v.Params.JoinTimeout)) {
			return true
		}
	}
	return false
}

// pendingOn reports whether a subflow younger than limit is being established
// on a path.
func (v *View) pendingOn(path int, limit time.Duration) bool {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == path && !s.Established && s.fault.kind == healthy && s.Age < limit {
			return true
		}
	}
	return false
}

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

// ask requests a probe on a path.
func (v *View) Ask(path int) {
	if name := v.Paths[path].Name; !slices.Contains(v.probe, name) {
		v.probe = append(v.probe, name)
	}
}

// doubtFor bounds the probing after a transfer that simply ended.
const doubtFor = 2 * time.Second
