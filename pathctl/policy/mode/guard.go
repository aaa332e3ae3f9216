package mode

import (
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// guard finds the paths of a connection that do harm to the others.
type guard struct {
	*policy.View
	n GuardNumbers
	m *GuardMemory
}

// GuardNumbers say when a path does harm. GuardLoss, GuardShare and GuardFarShare are
// shares of bytes, GuardBloat is how many times its least a round trip is, and
// GuardStarved a share of the best rate.
type GuardNumbers struct {
	GuardLoss, GuardShare, GuardBloat, GuardStarved, GuardFarShare float64
	GuardQueue, GuardTime, GuardMemory, GuardFar                   time.Duration
}

// GuardMemory is the best rate that one subflow had, in bytes a second, seen at the age
// At. Memory.Best is its path.
type GuardMemory struct {
	Mark uint64        `json:",omitempty"`
	At   time.Duration `json:",omitempty"`
}

var guardDefaults = GuardNumbers{
	// Three times what must be borne.
	GuardLoss: 0.03,
	// Setting a path aside costs its share: 6 % at most on suspicion.
	GuardShare: 0.06,
	// Buffers of three extra round trips and 200 ms: not a queue that TCP
	// needs to fill the link.
	GuardBloat: 4,
	GuardQueue: 200 * time.Millisecond,
	// A fifth below its own best without loss or queue is not noise.
	GuardStarved: 0.8,
	// What a far path of a ninth of the rate adds in five seconds, the wait for
	// its last burst of 64 KB takes away.
	GuardFarShare: 0.15,
	GuardFar:      100 * time.Millisecond,
	GuardTime:     2 * time.Second,
	GuardMemory:   10 * time.Second,
}

var guardTable = []policy.Number[GuardNumbers]{
	{Key: "guard_loss", Kind: policy.Ratio, Min: "0.005", Max: "1", End: policy.AtBothEnds, Doc: "A path with a small share is set aside when it loses this share of its bytes.", Field: func(n *GuardNumbers) any { return &n.GuardLoss }},
	{Key: "guard_share", Kind: policy.Ratio, Min: "0", Max: "0.5", End: policy.AtBothEnds, Doc: "What share of the connection's rate is small.", Field: func(n *GuardNumbers) any { return &n.GuardShare }},
	{Key: "guard_bloat", Kind: policy.Ratio, Min: "1.5", Max: "100", End: policy.AtBothEnds, Doc: "A path with a small share is set aside when its round trip is this many times its least …", Field: func(n *GuardNumbers) any { return &n.GuardBloat }},
	{Key: "guard_queue", Kind: policy.Duration, Min: "10ms", Max: "1m", End: policy.AtBothEnds, Doc: "… and longer by at least this.", Field: func(n *GuardNumbers) any { return &n.GuardQueue }},
	{Key: "guard_starved", Kind: policy.Ratio, Min: "0", Max: "1", End: policy.AtBothEnds, Doc: "A slower path is set aside when the connection is below this share of what its best path alone had, and that path has neither loss nor queue.", Field: func(n *GuardNumbers) any { return &n.GuardStarved }},
	{Key: "guard_far_share", Kind: policy.Ratio, Min: "0", Max: "0.5", End: policy.AtBothEnds, Doc: "A path that is far away is set aside when it carries less than this share …", Field: func(n *GuardNumbers) any { return &n.GuardFarShare }},
	{Key: "guard_far", Kind: policy.Duration, Min: "10ms", Max: "1m", End: policy.AtBothEnds, Doc: "… where far is a round trip longer by this than the best path's, and guard_bloat times as long.", Field: func(n *GuardNumbers) any { return &n.GuardFar }},
	{Key: "guard_time", Kind: policy.Duration, Min: "100ms", Max: "1m", End: policy.AtBothEnds, Doc: "How long a path must do harm before it is set aside.", Field: func(n *GuardNumbers) any { return &n.GuardTime }},
	{Key: "guard_memory", Kind: policy.Duration, Min: "1s", Max: "1h", End: policy.AtBothEnds, Doc: "How long the best path's rate is remembered.", Field: func(n *GuardNumbers) any { return &n.GuardMemory }},
}

var guardFits = []policy.Fit[GuardNumbers]{
	{Key: "guard_loss", Legal: "at most loss_threshold", OK: func(c *policy.Common, n *GuardNumbers) bool { return n.GuardLoss <= c.LossThreshold }},
}

// watch sets paths aside that make the connection slower than its best path
// alone: segments that are lost or wait in a slow path's queue fill the
// receiver's window, and the fast path must wait for them. It judges by what
// the sender sees, at either end.
func (v guard) watch() {
	best, total := policy.Nowhere, uint64(0)
	for i := range v.Subs {
		if s := &v.Subs[i]; s.InUse() {
			total += s.Delivery
			if best == policy.Nowhere || s.Delivery > v.Subs[best].Delivery {
				best = i
			}
		}
	}
	if best == policy.Nowhere {
		v.Unwatch(isPoor)
		return
	}
	v.remember(&v.Subs[best])
	starved := v.starved(best, total)
	harmful, why, what := policy.Nowhere, reason.Reason{}, none
	for i := range v.Subs {
		s, kind := &v.Subs[i], none
		if i != best && s.InUse() {
			kind = v.harm(s, &v.Subs[best], total, starved)
		}
		limit := v.n.GuardTime
		if kind == lags { // a round trip does not change its mind
			limit /= 4
		}
		if v.Lasting(s.ID, policy.SignPoor, kind != none, limit) && (harmful == policy.Nowhere || s.Delivery < v.Subs[harmful].Delivery) {
			harmful, why, what = i, v.explain(s, kind), kind
		}
	}
	if harmful == policy.Nowhere {
		return
	}
	v.Blame(v.Subs[harmful].Path, why, true)
	if what == lags {
		n, _ := v.Note(v.Subs[harmful].Path)
		n.Far = v.Subs[best].Path
		n.Until = v.Conn.Age + min(farHolds*(n.Until-v.Conn.Age), v.Params.HoldMax)
		v.SetNote(n)
	}
	v.m.Mark, v.m.At = 0, 0
	v.Unwatch(isPoor) // see what it helps before the next
}

// farHolds is how many times longer than others a path is left that is far away: it
// stays so, and to see what it carries takes seconds.
const farHolds = 4

func isPoor(w policy.Watch) bool { return w.Sign == policy.SignPoor }

// remember keeps the best rate that one subflow had lately.
func (v guard) remember(s *policy.Sub) {
	if s.Delivery >= v.m.Mark || v.Conn.Age-v.m.At > v.n.GuardMemory {
		v.Memory.Best, v.m.Mark, v.m.At = s.Path, s.Delivery, v.Conn.Age
	}
}

// starved reports whether the connection is slower than its best path was
// alone, although data waits and that path has neither loss nor queue: it waits
// for another one.
func (v guard) starved(best int, total uint64) bool {
	s := &v.Subs[best]
	well := s.RTT < time.Duration(v.n.GuardBloat*float64(s.MinRTT)) && !(s.LossKnown && s.LossRate >= v.n.GuardLoss)
	return well && s.Path == v.Memory.Best && v.Conn.Pending > 0 && float64(total) < v.n.GuardStarved*float64(v.m.Mark)
}

// harmKind is what a path does to the others.
type harmKind uint8

const (
	none harmKind = iota
	loses
	bloats
	starves
	lags
)

func (v guard) harm(s, best *policy.Sub, total uint64, starved bool) harmKind {
	small := s.Busy && float64(s.Delivery) < v.n.GuardShare*float64(total)
	queue := s.RTT - s.MinRTT
	switch {
	case small && s.LossKnown && s.LossRate >= v.n.GuardLoss:
		return loses
	case small && s.MinRTT > 0 && queue >= v.n.GuardQueue && s.RTT >= time.Duration(v.n.GuardBloat*float64(s.MinRTT)) && s.RTT > 2*best.RTT:
		return bloats
	case starved && (s.RTT > 2*best.RTT || s.LossKnown && s.LossRate >= v.n.GuardLoss):
		return starves
	case v.lagging(s, best, total):
		return lags
	}
	return none
}

// lagging reports whether a path carries little and is far away: the end of what is
// sent waits longer for its part than that part would have taken on the best path.
// While it looks for its rate it may become a good one.
func (v guard) lagging(s, best *policy.Sub, total uint64) bool {
	far := s.MinRTT >= time.Duration(v.n.GuardBloat*float64(best.RTT)) && s.MinRTT-best.RTT >= v.n.GuardFar
	return far && best.RTT > 0 && s.Busy && !s.Starting && float64(s.Delivery) < v.n.GuardFarShare*float64(total)
}

var harms = [...]reason.Kind{
	loses:   reason.New("loses", "{path} loses {rate} and carries less than {most}"),
	bloats:  reason.New("bloats", "RTT {took}, at its least {limit}, on {path}, which carries less than {most}"),
	starves: reason.New("starves", "{path} (RTT {took}) holds {other} back"),
	lags:    reason.New("lags", "{path} carries less than {most} and answers after {took}"),
}

func (v guard) explain(s *policy.Sub, kind harmKind) reason.Reason {
	r := reason.Reason{Kind: harms[kind], Path: s.Label()}
	switch kind {
	case loses:
		r.Rate, r.Most = s.LossRate, v.n.GuardShare
	case bloats:
		r.Took, r.Limit, r.Most = s.RTT, s.MinRTT, v.n.GuardShare
	case starves:
		r.Took, r.Other = s.RTT, v.Memory.Best
	case lags:
		r.Took, r.Most = s.MinRTT, v.n.GuardFarShare
	}
	return r
}
