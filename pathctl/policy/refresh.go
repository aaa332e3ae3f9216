package policy

import (
	"fmt"
	"slices"
	"time"
)

// refresh: n subflows on random ports over one path, whose load balancers spread
// them, and again and again others in place of the slowest (SMAPP §4.4).
//
// The paper destroys the slowest and creates another one. With the upstream
// kernel each destruction costs what the connection has in flight once more,
// because its whole retransmission queue is sent again (__mptcp_close_ssk in
// net/mptcp/protocol.c, Linux 6.18), and a new subflow more often than not
// shares the way of another one. A change of priority costs nothing. So it goes
// in rounds: newcomers are tried beside the n; then the slowest are parked,
// flagged backup, until n are in use. Those that are parked go all at once when
// a later round needs their room, or when nothing flows any more.
func refresh(v *view) {
	home := v.settle()
	if home == nowhere || v.leaving(home) {
		return
	}
	used, parked := v.usedOn(home)
	switch {
	case used < v.p.SubflowCount:
		v.unpark(home, v.p.SubflowCount-used)
		v.fill(home, "one of several on the path")
		v.m.Turn, v.m.Parked, v.m.Proven = 0, nil, nil // what was found out may hold no longer
		v.enter(stageQuiet)
	case !v.flows():
		v.m.Active = false
		if v.c.Pending == 0 {
			v.tidy(home, used)
		}
	case !v.m.Active:
		v.m.Active = true
		v.enter(stageQuiet)
		v.lookIn(v.pause())
	case v.parkStarving(home, used):
		v.lookIn(minLook)
	default:
		v.step(home, used, parked)
	}
}

// starving is the part of its fair share below which a subflow does harm: what waits on
// it, 32 KiB at a time, holds up the acknowledgement of all that the others carry
// meanwhile, and they stand still when as much is under way as may be.
const starving = 20

// parkStarving parks those beside the n that have found a rate that is of no use, and
// reports whether there are any.
func (v *view) parkStarving(home, used int) bool {
	var total uint64
	for i := range v.subs {
		if s := &v.subs[i]; s.path == home && s.inUse() {
			total += s.Pacing
		}
	}
	before := used
	for i := range v.subs {
		if used <= v.p.SubflowCount {
			break
		}
		s := &v.subs[i]
		found := s.path == home && s.inUse() && !s.Starting && s.Pacing > 0 && s.Age >= v.p.RefreshTrial
		if !found || s.Pacing*uint64(starving*v.p.SubflowCount) > total {
			continue
		}
		v.keep(i, true, fmt.Sprintf("hardly gets anything on %s (%d of %d bytes/s)", s.label(), s.Pacing, total))
		used--
	}
	return used < before
}

// Stage is how far a round of refresh has come.
type Stage string

// The stages.
const (
	stageQuiet Stage = ""      // n are in use
	stageRoom  Stage = "room"  // what was parked has been destroyed
	stageWarm  Stage = "warm"  // newcomers get up to speed
	stageJudge Stage = "judge" // the slowest are parked one after the other
)

// enter begins a stage, from which on all rates are measured.
func (v *view) enter(s Stage) {
	v.m.Stage, v.m.At, v.m.Mark, v.m.MarkIn = s, v.c.Age, v.c.Sent, v.c.Received
	v.m.Counts = nil
	for i := range v.subs {
		v.m.Counts = append(v.m.Counts, Carried{v.subs[i].ID, v.subs[i].Sent + v.subs[i].Received})
	}
}

// step does what is due.
func (v *view) step(home, used, parked int) {
	left := v.m.At + v.pause() - v.c.Age
	switch {
	case v.m.Stage == stageWarm && !v.warm(home):
		return // an event or a look that others ask for comes
	case left > 0:
		v.lookIn(left)
		return
	}
	switch v.m.Stage {
	case stageWarm:
		v.enter(stageJudge)
	case stageJudge:
		v.sift(home, used)
	case stageQuiet:
		v.weigh()
		if v.room() < v.newcomers() && parked > 0 {
			v.clear(home, "room for others")
			v.enter(stageRoom)
			break
		}
		v.admit(home)
	case stageRoom:
		v.admit(home)
	}
	v.lookIn(v.pause())
}

// pause is how long to wait in a stage at least. Rates need a time in which
// acknowledgements come back more than once.
func (v *view) pause() time.Duration {
	span := v.p.RefreshTrial
	for i := range v.subs {
		if s := &v.subs[i]; !s.Backup {
			span = max(span, 3*s.RTT)
		}
	}
	switch {
	case v.m.Stage == stageRoom: // until the peer has heard that it may take others
		return span / 4
	case v.m.Stage != stageQuiet:
		return span
	case v.m.Turn < v.p.RefreshEarly:
		return span / 4
	}
	return min(v.p.RefreshInterval<<min(v.m.Turn-v.p.RefreshEarly, 16), v.p.RefreshMax)
}

// warm reports whether all subflows in use have got up to speed.
func (v *view) warm(home int) bool {
	for i := range v.subs {
		s := &v.subs[i]
		if s.path != home || s.Backup || s.verdict == dropped {
			continue
		}
		if left := max(v.p.RefreshTrial, 3*s.RTT) - s.Age; !s.ready() || left > 0 {
			v.lookIn(left)
			return false
		}
	}
	return true
}

// newcomers is how many are tried in a round: as many as there are, and in the first
// one twice as many, because each way that is missed costs its share from the begin.
// Without room beside the n it is one, in place of the slowest.
func (v *view) newcomers() int {
	n := v.p.SubflowCount
	if v.m.Turn <= 1 {
		n *= 2
	}
	return max(1, min(n, v.p.MaxSubflows-v.p.SubflowCount))
}

// admit creates the newcomers.
func (v *view) admit(home int) {
	if !v.open(home) {
		v.enter(stageQuiet)
		return
	}
	if v.room() <= 0 {
		v.replace(home)
	}
	v.enter(stageQuiet)
	for range min(v.newcomers(), v.room()) {
		v.create = append(v.create, Create{v.paths[home].Name, false, "in place of a slower one"})
	}
	if len(v.create) > 0 {
		v.enter(stageWarm)
	}
}

// sift parks the slowest, one or those that make little difference together, and takes
// that back when it turns out that the connection is slower without. The round ends when
// n are in use.
func (v *view) sift(home, used int) {
	total := v.together(home)
	if float64(total) < float64(v.m.Total)*(1-4*v.p.RefreshGain) && v.takeBack(home, total) {
		v.enter(stageJudge)
		return
	}
	v.m.Parked, v.m.Total = nil, total
	left := 2 * v.p.RefreshGain * float64(total)
	for _, i := range v.bySpeed(home) {
		s := &v.subs[i]
		if left -= float64(v.speed(s)); used <= v.p.SubflowCount || left < 0 && len(v.m.Parked) > 0 {
			break
		}
		v.keep(i, true, fmt.Sprintf("the slowest of %d on %s (%d bytes/s)", used, s.label(), v.speed(s)))
		v.m.Parked = append(v.m.Parked, s.ID)
		used--
	}
	if len(v.m.Parked) > 0 {
		v.enter(stageJudge)
		return
	}
	v.m.Total, v.m.Proven = 0, nil
	v.enter(stageQuiet)
}

// takeBack puts those that were parked last into use again, and reports whether there
// was any. The fastest of them, which is the last, has proven its worth.
func (v *view) takeBack(home int, without uint64) bool {
	back := false
	for _, id := range v.m.Parked {
		i := v.parkedAs(home, id)
		if i == nowhere {
			continue
		}
		back = true
		s := &v.subs[i]
		v.keep(i, false, fmt.Sprintf("%d bytes/s with it, %d without it on %s", v.m.Total, without, s.label()))
	}
	if back {
		v.m.Proven = append(slices.Clip(v.m.Proven), v.m.Parked[len(v.m.Parked)-1])
	}
	v.m.Parked = nil
	return back
}

// weigh counts the rounds that left the connection's rate as it was.
func (v *view) weigh() {
	was, now := float64(v.m.Rate), float64(perSecond(v.c.Sent-min(v.c.Sent, v.m.Mark)+v.c.Received-min(v.c.Received, v.m.MarkIn), v.c.Age-v.m.At))
	early := v.m.Turn < v.p.RefreshEarly
	v.m.Turn++
	if early {
		return // too short to tell
	}
	if was > 0 && (now > was*(1+v.p.RefreshGain) || now < was*(1-2*v.p.RefreshGain)) {
		v.m.Turn = v.p.RefreshEarly
	}
	v.m.Rate = uint64(now)
}
