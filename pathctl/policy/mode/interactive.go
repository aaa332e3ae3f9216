package mode

import (
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Interactive lets the path with the lowest round trip carry everything, the
// others are established backups. It changes when another one has been better
// for a while, and at once when the one in use has a timeout.
var Interactive = policy.Register(policy.Definition[InteractiveNumbers, policy.None]{
	Name: "interactive", Traits: policy.Traits{Place: 3, OnePath: true, BeginsAnywhere: true},
	Defaults: InteractiveNumbers{
		// Paths of 20 and 60 ms are told apart with ±30 ms jitter smoothed;
		// paths of 45 and 50 ms are the same.
		RTTRatio:  1.25,
		RTTMargin: 5 * time.Millisecond,
		// Together with smoothing within the second that a filling queue allows.
		RTTHold:        300 * time.Millisecond,
		RTTUrgent:      2,
		RTTStay:        2 * time.Second,
		MeteredPenalty: 100 * time.Millisecond,
	},
	Numbers: []policy.Number[InteractiveNumbers]{
		{Key: "rtt_ratio", Kind: policy.Ratio, Min: "1", Max: "10", End: policy.AtClient, Doc: "Another path takes over when the round trip in use is this many times longer …", Field: func(n *InteractiveNumbers) any { return &n.RTTRatio }},
		{Key: "rtt_margin", Kind: policy.Duration, Min: "0s", Max: "10s", End: policy.AtClient, Doc: "… and this much more …", Field: func(n *InteractiveNumbers) any { return &n.RTTMargin }},
		{Key: "rtt_hold", Kind: policy.Duration, Min: "0s", Max: "1m", End: policy.AtClient, Doc: "… for this long.", Field: func(n *InteractiveNumbers) any { return &n.RTTHold }},
		{Key: "rtt_urgent", Kind: policy.Ratio, Min: "1", Max: "100", End: policy.AtClient, Doc: "At this many times it takes over although the last change was not rtt_stay ago.", Field: func(n *InteractiveNumbers) any { return &n.RTTUrgent }},
		{Key: "rtt_stay", Kind: policy.Duration, Min: "0s", Max: "1h", End: policy.AtClient, Doc: "How long a path is kept after a change.", Field: func(n *InteractiveNumbers) any { return &n.RTTStay }},
		{Key: "metered_penalty", Kind: policy.Duration, Min: "0s", Max: "10s", End: policy.AtClient, Doc: "What a metered path must be faster by.", Field: func(n *InteractiveNumbers) any { return &n.MeteredPenalty }},
	},
	Fits: []policy.Fit[InteractiveNumbers]{
		{Key: "rtt_ratio", Legal: "at most rtt_urgent", OK: func(_ *policy.Common, n *InteractiveNumbers) bool { return n.RTTRatio <= n.RTTUrgent }},
	},
	Want: func(v *policy.View, n InteractiveNumbers, _ *policy.None) {
		w := interactive{v, n}
		w.measure()
		best, why := w.byRTT()
		v.Carry(best, policy.EveryStandby, why)
	},
})

// InteractiveNumbers say when another path is better: a ratio and a difference of round
// trips, and for how long.
type InteractiveNumbers struct {
	RTTRatio, RTTUrgent         float64
	RTTMargin, RTTHold, RTTStay time.Duration
	MeteredPenalty              time.Duration
}

type interactive struct {
	*policy.View
	n InteractiveNumbers
}

var (
	doubtful   = reason.New("doubtful", "no progress for {took} and {count} timeouts on {path}")
	slowerThan = reason.New("slower-than", "RTT {took} on {path}, {limit} on {other}")
)

// byRTT returns the path that should carry the data, and why it changes.
func (v interactive) byRTT() (int, reason.Reason) {
	now := v.Current()
	next, trust := v.fastest(now)
	i := v.ReadyOn(now)
	if next == policy.Nowhere || trust != trusted {
		v.NoRival()
	}
	switch {
	case next == policy.Nowhere:
		return now, reason.Reason{Kind: policy.ReasonCarries}
	case i == policy.Nowhere:
		return next, v.Failure(now)
	case v.suspect(&v.Subs[i]):
		if trust == suspected {
			break
		}
		s := &v.Subs[i]
		return next, reason.Reason{Kind: doubtful, Took: s.Stalled, Count: s.Timeouts, Path: s.Label()}
	case trust == trusted && v.slower(now, next) && !v.outdated(next):
		why := reason.Reason{Kind: slowerThan, Took: v.latency(now), Path: v.Paths[now].Name, Limit: v.latency(next), Other: v.Paths[next].Name}
		if s := &v.Subs[i]; s.RTT > time.Duration(v.n.RTTRatio*float64(s.MinRTT))+v.n.RTTMargin {
			v.Blame(s.Path, why, true) // its queue may still be there when nothing of ours is in it
		}
		return next, why
	}
	return now, reason.Reason{Kind: policy.ReasonCarries}
}

// measure keeps the round trips of the paths that carry nothing known while the
// connection is in use.
func (v interactive) measure() {
	if !v.Flows() {
		return
	}
	for k := range v.Paths {
		if v.ReadyOn(k) != policy.Nowhere && v.outdated(k) {
			v.Ask(k)
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
func (v interactive) outdated(path int) bool {
	p := &v.Paths[path]
	if v.Subs[v.ReadyOn(path)].Busy && p.Name == v.Memory.Best {
		return false
	}
	limit := rttFresh
	if p.Metered {
		limit = rttFreshMetered
	}
	return p.RTTAge > min(limit, v.Conn.Age-v.Memory.Since)
}

// suspect is less than failed: enough to move to a path that is established. A
// thin flow that has lost a segment is silent until the tail loss probe, two
// round trips later, has been answered (RFC 8985 section 7.2).
func (v interactive) suspect(s *policy.Sub) bool {
	limit := v.StallLimit(s)
	if s.Unacked < v.Params.StallBurst {
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
// of these the one with the least round trip; or policy.Nowhere.
func (v interactive) fastest(now int) (best int, most trust) {
	best, least := policy.Nowhere, time.Duration(0)
	for k := range v.Paths {
		i := v.ReadyOn(k)
		if k == now || i == policy.Nowhere {
			continue
		}
		t := trusted
		if v.suspect(&v.Subs[i]) {
			t = suspected
		} else if v.Probation(v.Paths[k].Name) > 0 || v.Subs[i].PeerBackup {
			t = onProbation
		}
		if rtt := v.latency(k); best == policy.Nowhere || t < most || t == most && rtt < least {
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
func (v interactive) latency(path int) time.Duration {
	p := &v.Paths[path]
	s := &v.Subs[v.ReadyOn(path)]
	rtt := s.RTT
	if p.Name != v.Memory.Best && s.Delivery == 0 {
		if _, left := v.Note(p.Name); left && v.Probation(p.Name) == 0 && s.MinRTT > 0 {
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
		rtt += v.n.MeteredPenalty
	}
	return rtt
}

// slower reports whether the path in use has been slower than the next for long
// enough.
func (v interactive) slower(now, next int) bool {
	here, there := v.latency(now), v.latency(next)
	times := func(x float64) time.Duration { return time.Duration(x*float64(there)) + v.n.RTTMargin }
	if here < times(v.n.RTTRatio) {
		v.NoRival()
		return false
	}
	stay := v.n.RTTStay
	if here >= times(v.n.RTTUrgent) {
		stay = 0
	}
	return v.Outlasts(v.Paths[next].Name, v.n.RTTHold, stay)
}
