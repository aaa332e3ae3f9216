package policy

import (
	"fmt"
	"time"
)

// guard sets paths aside that make the connection slower than its best path
// alone: segments that are lost or wait in a slow path's queue fill the
// receiver's window, and the fast path must wait for them. It judges by what
// the sender sees, at either end.
func (v *view) guard() {
	best, total := nowhere, uint64(0)
	for i := range v.subs {
		if s := &v.subs[i]; s.inUse() {
			total += s.Delivery
			if best == nowhere || s.Delivery > v.subs[best].Delivery {
				best = i
			}
		}
	}
	if best == nowhere {
		v.unwatch(isPoor)
		return
	}
	v.remember(&v.subs[best])
	starved := v.starved(best, total)
	harmful, why, what := nowhere, "", none
	for i := range v.subs {
		s, kind := &v.subs[i], none
		if i != best && s.inUse() {
			kind = v.harm(s, &v.subs[best], total, starved)
		}
		limit := v.p.GuardTime
		if kind == lags { // a round trip does not change its mind
			limit /= 4
		}
		if v.lasting(s.ID, SignPoor, kind != none, limit) && (harmful == nowhere || s.Delivery < v.subs[harmful].Delivery) {
			harmful, why, what = i, v.explain(s, kind), kind
		}
	}
	if harmful == nowhere {
		return
	}
	v.blame(v.subs[harmful].Path, why, true)
	if what == lags {
		n, _ := v.note(v.subs[harmful].Path)
		n.Far = v.subs[best].Path
		n.Until = v.c.Age + min(farHolds*(n.Until-v.c.Age), v.p.HoldMax)
		v.setNote(n)
	}
	v.m.Mark, v.m.At = 0, 0
	v.unwatch(isPoor) // see what it helps before the next
}

// farHolds is how many times longer than others a path is left that is far away: it
// stays so, and to see what it carries takes seconds.
const farHolds = 4

func isPoor(w Watch) bool { return w.Sign == SignPoor }

// remember keeps the best rate that one subflow had lately.
func (v *view) remember(s *sub) {
	if s.Delivery >= v.m.Mark || v.c.Age-v.m.At > v.p.GuardMemory {
		v.m.Best, v.m.Mark, v.m.At = s.Path, s.Delivery, v.c.Age
	}
}

// starved reports whether the connection is slower than its best path was
// alone, although data waits and that path has neither loss nor queue: it waits
// for another one.
func (v *view) starved(best int, total uint64) bool {
	s := &v.subs[best]
	well := s.RTT < time.Duration(v.p.GuardBloat*float64(s.MinRTT)) && !(s.LossKnown && s.LossRate >= v.p.GuardLoss)
	return well && s.Path == v.m.Best && v.c.Pending > 0 && float64(total) < v.p.GuardStarved*float64(v.m.Mark)
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

func (v *view) harm(s, best *sub, total uint64, starved bool) harmKind {
	small := s.Busy && float64(s.Delivery) < v.p.GuardShare*float64(total)
	queue := s.RTT - s.MinRTT
	switch {
	case small && s.LossKnown && s.LossRate >= v.p.GuardLoss:
		return loses
	case small && s.MinRTT > 0 && queue >= v.p.GuardQueue && s.RTT >= time.Duration(v.p.GuardBloat*float64(s.MinRTT)) && s.RTT > 2*best.RTT:
		return bloats
	case starved && (s.RTT > 2*best.RTT || s.LossKnown && s.LossRate >= v.p.GuardLoss):
		return starves
	case v.lagging(s, best, total):
		return lags
	}
	return none
}

// lagging reports whether a path carries little and is far away: the end of what is
// sent waits longer for its part than that part would have taken on the best path.
// While it looks for its rate it may become a good one.
func (v *view) lagging(s, best *sub, total uint64) bool {
	far := s.MinRTT >= time.Duration(v.p.GuardBloat*float64(best.RTT)) && s.MinRTT-best.RTT >= v.p.GuardFar
	return far && best.RTT > 0 && s.Busy && !s.Starting && float64(s.Delivery) < v.p.GuardFarShare*float64(total)
}

func (v *view) explain(s *sub, kind harmKind) string {
	switch kind {
	case loses:
		return fmt.Sprintf("%s loses %s and carries less than %s", s.label(), percent(s.LossRate), percent(v.p.GuardShare))
	case bloats:
		return fmt.Sprintf("RTT %s, at its least %s, on %s, which carries less than %s", words(s.RTT), words(s.MinRTT), s.label(), percent(v.p.GuardShare))
	}
	if kind == lags {
		return fmt.Sprintf("%s carries less than %s and answers after %s", s.label(), percent(v.p.GuardFarShare), words(s.MinRTT))
	}
	return fmt.Sprintf("%s (RTT %s) holds %s back", s.label(), words(s.RTT), v.m.Best)
}
