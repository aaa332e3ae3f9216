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
		v.m.Turn, v.m.Parked, v.m.Proven = 0, 0, nil // what was found out may hold no longer
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
	default:
		v.step(home, used, parked)
	}
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

// newcomers is how many are tried in a round: as many as there are. Without room
// beside the n it is one, in place of the slowest.
func (v *view) newcomers() int {
	return max(1, min(v.p.SubflowCount, v.p.MaxSubflows-v.p.SubflowCount))
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

// sift parks the slowest subflow, and takes that back when it turns out that
// the connection is slower without it. The round ends when n are in use.
func (v *view) sift(home, used int) {
	total := v.together(home)
	if i := v.lastParked(home); i != nowhere && float64(total) < float64(v.m.Total)*(1-4*v.p.RefreshGain) {
		s := &v.subs[i]
		v.keep(i, false, fmt.Sprintf("%d bytes/s with it, %d without it on %s", v.m.Total, total, s.label()))
		v.m.Proven = append(slices.Clip(v.m.Proven), s.ID)
		v.m.Parked = 0
		v.enter(stageJudge)
		return
	}
	slow := nowhere
	if used > v.p.SubflowCount {
		slow = v.slowest(home)
	}
	if slow == nowhere {
		v.m.Parked, v.m.Total, v.m.Proven = 0, 0, nil
		v.enter(stageQuiet)
		return
	}
	s := &v.subs[slow]
	v.keep(slow, true, fmt.Sprintf("the slowest of %d on %s (%d bytes/s)", used, s.label(), v.speed(s)))
	v.m.Parked, v.m.Total = s.ID, total
	v.enter(stageJudge)
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
