package policy

import (
	"fmt"
	"time"
)

// interactive: the path with the lowest round trip carries everything, the
// others are established backups. It changes when another one has been better
// for a while, and at once when the one in use has a timeout.
func interactive(v *view) {
	v.measure()
	best, why := v.byRTT()
	v.carry(best, everyStandby, why)
}

// byRTT returns the path that should carry the data, and why it changes.
func (v *view) byRTT() (int, string) {
	now := v.current()
	next, trust := v.fastest(now)
	i := v.readyOn(now)
	if next == nowhere || trust != trusted {
		v.m.Rival, v.m.RivalSince = "", 0
	}
	switch {
	case next == nowhere:
		return now, "carries the data"
	case i == nowhere:
		return next, v.failure(now)
	case v.suspect(&v.subs[i]):
		if trust == suspected {
			break
		}
		s := &v.subs[i]
		return next, fmt.Sprintf("no progress for %s and %d timeouts on %s", words(s.Stalled), s.Timeouts, s.label())
	case trust == trusted && v.slower(now, next) && !v.outdated(next):
		why := fmt.Sprintf("RTT %s on %s, %s on %s", words(v.latency(now)), v.paths[now].Name, words(v.latency(next)), v.paths[next].Name)
		if s := &v.subs[i]; s.RTT > time.Duration(v.p.RTTRatio*float64(s.MinRTT))+v.p.RTTMargin {
			v.blame(s.Path, why, true) // its queue may still be there when nothing of ours is in it
		}
		return next, why
	}
	return now, "carries the data"
}

// measure keeps the round trips of the paths that carry nothing known while the
// connection is in use.
func (v *view) measure() {
	if !v.flows() {
		return
	}
	for k := range v.paths {
		if v.readyOn(k) != nowhere && v.outdated(k) {
			v.ask(k)
		}
	}
}

// How old the round trip of a path may be that carries nothing. On a metered one
// each measurement costs.
const (
	rttFresh        = time.Second
	rttFreshMetered = 10 * time.Second
)

// outdated reports whether the round trip of a path that carries nothing may have
// changed since it was measured. What was measured before the data moved away
// lags behind what made it move.
func (v *view) outdated(path int) bool {
	p := &v.paths[path]
	if v.subs[v.readyOn(path)].Busy && p.Name == v.m.Best {
		return false
	}
	limit := rttFresh
	if p.Metered {
		limit = rttFreshMetered
	}
	return p.RTTAge > min(limit, v.c.Age-v.m.Since)
}

// suspect is less than failed: enough to move to a path that is established. A
// thin flow that has lost a segment is silent until the tail loss probe, two
// round trips later, has been answered (RFC 8985 section 7.2).
func (v *view) suspect(s *sub) bool {
	limit := v.stallLimit(s)
	if s.Unacked < v.p.StallBurst {
		limit = max(limit, 3*s.RTT+4*s.RTTVar)
	}
	return s.Timeouts > 0 || s.Stalled >= limit
}

// trust orders paths before their round trips do.
type trust uint8

const (
	trusted trust = iota
	onProbation
	suspected
)

// fastest returns the path to move to from the one in use: the most trusted,
// of these the one with the least round trip; or nowhere.
func (v *view) fastest(now int) (best int, most trust) {
	best, least := nowhere, time.Duration(0)
	for k := range v.paths {
		i := v.readyOn(k)
		if k == now || i == nowhere {
			continue
		}
		t := trusted
		if v.suspect(&v.subs[i]) {
			t = suspected
		} else if v.probation(v.paths[k].Name) > 0 || v.subs[i].PeerBackup {
			t = onProbation
		}
		if rtt := v.latency(k); best == nowhere || t < most || t == most && rtt < least {
			best, most, least = k, t, rtt
		}
	}
	return best, most
}

// longest stands for a round trip that nobody measured.
const longest = time.Hour

// latency is the round trip that data would have on a path. A backup sends none
// and measures nothing, even while the peer sends on it: then what probes and
// other connections saw counts, and after probation the least it ever had.
func (v *view) latency(path int) time.Duration {
	p := &v.paths[path]
	s := &v.subs[v.readyOn(path)]
	rtt := s.RTT
	if p.Name != v.m.Best && s.Delivery == 0 {
		if _, left := v.note(p.Name); left && v.probation(p.Name) == 0 && s.MinRTT > 0 {
			rtt = s.MinRTT
		}
		if p.RTT > 0 {
			rtt = p.RTT
		}
	}
	if rtt <= 0 {
		return longest
	}
	if p.Metered {
		rtt += v.p.MeteredPenalty
	}
	return rtt
}

// slower reports whether the path in use has been slower than the next for long
// enough.
func (v *view) slower(now, next int) bool {
	here, there := v.latency(now), v.latency(next)
	times := func(x float64) time.Duration { return time.Duration(x*float64(there)) + v.p.RTTMargin }
	if here < times(v.p.RTTRatio) {
		v.m.Rival, v.m.RivalSince = "", 0
		return false
	}
	if name := v.paths[next].Name; v.m.Rival != name {
		v.m.Rival, v.m.RivalSince = name, v.c.Age
	}
	left := v.m.RivalSince + v.p.RTTHold - v.c.Age
	if here < times(v.p.RTTUrgent) && v.m.Since > 0 {
		left = max(left, v.m.Since+v.p.RTTStay-v.c.Age)
	}
	v.lookIn(left)
	return left <= 0
}
