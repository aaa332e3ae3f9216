package policy

import "fmt"

// refresh: n subflows on random ports over one path, whose load balancers
// spread them; at each interval the slowest is replaced (SMAPP §4.4).
func refresh(v *view) {
	home := v.settle()
	if home == nowhere {
		return
	}
	if slow := v.slowest(home); slow != nowhere {
		s := &v.subs[slow]
		v.m.Turn++
		v.drop(slow, Replaced, fmt.Sprintf("the slowest of %d on %s (pacing %d bytes/s)", v.p.SubflowCount, s.label(), s.Pacing))
	}
	v.fill(home, "in place of the slowest, or to make up the number")
}

// slowest returns the subflow whose turn it is to go, or nowhere. A subflow
// younger than half an interval has not shown what it can do, and while one is
// being established, or nothing flows, nobody goes.
func (v *view) slowest(home int) int {
	if !v.m.Active {
		v.m.Active, v.m.At = true, v.c.Age
	}
	left := v.m.At + v.p.RefreshInterval - v.c.Age
	if !v.flows() {
		return nowhere
	}
	if left > 0 {
		v.lookIn(left)
		return nowhere
	}
	v.m.At = v.c.Age
	v.lookIn(v.p.RefreshInterval)
	slow, ready := nowhere, 0
	incoming := v.incoming()
	for i := range v.subs {
		s := &v.subs[i]
		switch {
		case s.verdict == dropped:
		case s.path > home:
			return nowhere // another path is being left: one thing after the other
		case s.path != home:
		case !s.ready():
			return nowhere
		default:
			ready++
			if s.Age >= v.p.RefreshInterval/2 && (slow == nowhere || s.speed(incoming) < v.subs[slow].speed(incoming)) {
				slow = i
			}
		}
	}
	if ready < 2 || !v.open(home) {
		return nowhere
	}
	return slow
}

func (v *view) flows() bool {
	for i := range v.subs {
		if v.subs[i].Busy {
			return true
		}
	}
	return false
}

// incoming reports whether most data comes to us. Our pacing rates mean nothing
// then.
func (v *view) incoming() bool {
	var in, out uint64
	for i := range v.subs {
		in += v.subs[i].Arrival
		out += v.subs[i].Delivery
	}
	return in > out
}

func (s *sub) speed(incoming bool) uint64 {
	if incoming {
		return s.Arrival
	}
	return s.Pacing
}
