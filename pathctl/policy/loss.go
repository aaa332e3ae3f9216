package policy

import (
	"slices"
	"time"
)

// examineLoss finds the subflows that have lost too much for long enough while a subflow
// on another path has not. When every path in use is lossy, a path without a subflow may
// be better.
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

// allOn reports whether every ready subflow is on the path of one of those subflows.
func (v *View) allOn(some []int) bool {
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.Ready() && !slices.ContainsFunc(some, func(j int) bool { return v.Subs[j].Path == s.Path }) {
			return false
		}
	}
	return true
}

// loses reports whether a subflow has lost too much for long enough. While one loses too
// much, it must get below half the threshold to be well again.
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

// A path that has given trouble is on trial for trialTime when it is used again: it is
// looked at every trialLook, and trialSample segments are enough to judge it. At 1 % loss
// four of 20 segments are lost once in 20,000 times, at 30 % 9 times in 10.
const (
	trialTime   = 2 * time.Second
	trialSample = 20
	trialLook   = 30 * time.Millisecond
)

// subflowLosesLess reports whether a subflow on another path loses much less than
// subflow i, or is not known to lose anything. Subflows on the same path share its loss.
func (v *View) subflowLosesLess(i int) bool {
	most := v.Subs[i].lossNow() / v.Params.LossAdvantage
	for j := range v.Subs {
		if s := &v.Subs[j]; j != i && (s.Path != v.Subs[i].Path || s.Path == "") && s.Ready() && (!s.FloorKnown || s.LossFloor <= most) {
			return true
		}
	}
	return false
}

// overflows reports whether a subflow loses because it has filled the path's queue
// itself: while it looks for its rate, in its first seconds, or when bbr takes the path
// for faster than it is. Then as much as ever gets through, and round trips are long.
// When the path itself loses segments, less gets through.
func (s *Sub) overflows() bool {
	return (s.Starting || s.Share == 0 || s.Share >= fullShare) && s.queues()
}

// queues reports whether data waits in the path's queue: round trips are half as long
// again as the least one. A sender that loses much never fills the queue.
func (s *Sub) queues() bool { return s.RTT >= 3*s.MinRTT/2 }

// fullShare is the share of the best rate from which on as much as ever gets through:
// rates of one second and the next differ by a tenth.
const fullShare = 0.8

// lossNow returns the share that a subflow loses all the time, or lately, if it is on
// trial and that is more.
func (s *Sub) lossNow() (rate float64) {
	if s.FloorKnown {
		rate = s.LossFloor
	}
	if s.Fresh >= trialSample && s.UsedAgo < trialTime {
		rate = max(rate, s.FreshLoss)
	}
	return rate
}

// pathLosesLess reports whether a path without an established subflow can get one, or is
// about to. Nothing is known of its loss, so it may be better.
func (v *View) pathLosesLess() bool {
	for k := range v.Paths {
		if v.ReadyOn(k) == Nowhere && (v.Creatable(k) && !v.Paths[k].Unproven || v.pendingOn(k, v.Params.JoinTimeout)) {
			return true
		}
	}
	return false
}
