package mode

import (
	"slices"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Refresh has n subflows on random ports over one path, whose load balancers spread
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
var Refresh = policy.Register(policy.Definition[RefreshNumbers, RefreshMemory]{
	Name: "refresh", Traits: policy.Traits{Place: 6, OnePath: true, Several: true, Parks: true},
	// five in use, and rounds of ten and five before any must be destroyed
	Adjust: func(c *policy.Common) { c.MaxSubflows = 20 },
	Defaults: RefreshNumbers{
		SeveralNumbers:  SeveralNumbers{SubflowCount: 5}, // SMAPP §4.4
		RefreshInterval: 2500 * time.Millisecond,         // SMAPP §4.4
		// A transfer of a minute is past its search by then.
		RefreshMax: 30 * time.Second,
		// Five subflows, ten more and five more: of four ways one is still missed
		// once in 80 connections.
		RefreshEarly: 2,
		// bbr has found its rate: five round trips of 100 ms.
		RefreshTrial: 500 * time.Millisecond,
		// The seventh way of six is more than that, noise is less.
		RefreshGain: 0.05,
	},
	Numbers: append(policy.Lift(severalTable, severalOfRefresh), []policy.Number[RefreshNumbers]{
		{Key: "refresh_interval", Kind: policy.Duration, Min: "100ms", Max: "1h", End: policy.AtClient, Doc: "How often others are tried in place of the slowest; doubled each time that changes nothing …", Field: func(n *RefreshNumbers) any { return &n.RefreshInterval }},
		{Key: "refresh_max", Kind: policy.Duration, Min: "100ms", Max: "1h", End: policy.AtClient, Doc: "… up to this.", Field: func(n *RefreshNumbers) any { return &n.RefreshMax }},
		{Key: "refresh_early", Kind: policy.Count, Min: "0", Max: "100", End: policy.AtClient, Doc: "So many times at the beginning, they are tried one after the other without waiting.", Field: func(n *RefreshNumbers) any { return &n.RefreshEarly }},
		{Key: "refresh_trial", Kind: policy.Duration, Min: "50ms", Max: "1m", End: policy.AtClient, Doc: "How long a subflow has to show what it can do.", Field: func(n *RefreshNumbers) any { return &n.RefreshTrial }},
		{Key: "refresh_gain", Kind: policy.Ratio, Min: "0.01", Max: "1", End: policy.AtClient, Doc: "By what share the rate of a connection must rise, or twice that share fall, to count as changed.", Field: func(n *RefreshNumbers) any { return &n.RefreshGain }},
	}...),
	Fits: append(policy.LiftFits(severalFits, severalOfRefresh), policy.Fit[RefreshNumbers]{
		Key: "refresh_interval", Legal: "at most refresh_max",
		OK: func(_ *policy.Common, n *RefreshNumbers) bool { return n.RefreshInterval <= n.RefreshMax },
	}),
	Want: func(v *policy.View, n RefreshNumbers, m *RefreshMemory) {
		refresh{several{v, n.SeveralNumbers}, n, m}.want()
	},
})

// RefreshNumbers say how often other subflows are tried. RefreshEarly counts rounds, and
// RefreshGain is a share of the rate.
type RefreshNumbers struct {
	SeveralNumbers
	RefreshInterval, RefreshMax, RefreshTrial time.Duration
	RefreshEarly                              int
	RefreshGain                               float64
}

func severalOfRefresh(n *RefreshNumbers) *SeveralNumbers { return &n.SeveralNumbers }

// RefreshMemory is the round that is going on.
type RefreshMemory struct {
	// Turn counts rounds without gain.
	Turn int `json:",omitempty"`
	// Stage is how far the round has come since the age At. Mark and MarkIn are the
	// bytes sent and received then, and Counts what the subflows had carried.
	Stage  Stage         `json:",omitempty"`
	At     time.Duration `json:",omitempty"`
	Mark   uint64        `json:",omitempty"`
	MarkIn uint64        `json:",omitempty"`
	Counts []Carried     `json:",omitempty"`
	// Rate is that of the connection, in bytes a second, before the last round.
	Rate uint64 `json:",omitempty"`
	// Parked are the subflows that were parked last in the round, the slowest first,
	// Total is the rate of all before that, in bytes a second, and Proven are those
	// without which it was less.
	Parked []policy.SubflowID `json:",omitempty"`
	Total  uint64             `json:",omitempty"`
	Proven []policy.SubflowID `json:",omitempty"`
	// Active says that data flows.
	Active bool `json:",omitempty"`
}

// Carried is how many bytes a subflow had carried, both ways.
type Carried struct {
	ID    policy.SubflowID
	Bytes uint64
}

var (
	starved         = reason.New("starved", "hardly gets anything on {path} ({bytes} of {of} bytes/s)")
	inPlaceOfSlower = reason.New("in-place-of-slower", "in place of a slower one")
	slowestOf       = reason.New("slowest-of", "the slowest of {count} on {path} ({bytes} bytes/s)")
	missed          = reason.New("missed", "{bytes} bytes/s with it, {of} without it on {path}")
)

type refresh struct {
	several
	n RefreshNumbers
	m *RefreshMemory
}

func (v refresh) want() {
	home := v.settle(true)
	if home == policy.Nowhere || v.leaving(home) {
		return
	}
	used, parked := v.usedOn(home)
	switch {
	case used < v.n.SubflowCount:
		v.unpark(home, v.n.SubflowCount-used)
		v.fill(home)
		v.m.Turn, v.m.Parked, v.m.Proven = 0, nil, nil // what was found out may hold no longer
		v.enter(stageQuiet)
	case !v.Flows():
		v.m.Active = false
		if v.Conn.Pending == 0 {
			v.tidy(home, used)
		}
	case !v.m.Active:
		v.m.Active = true
		v.enter(stageQuiet)
		v.LookIn(v.pause())
	case v.parkStarving(home, used):
		v.LookIn(policy.MinLook)
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
func (v refresh) parkStarving(home, used int) bool {
	var total uint64
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == home && s.InUse() {
			total += s.Pacing
		}
	}
	before := used
	for i := range v.Subs {
		if used <= v.n.SubflowCount {
			break
		}
		s := &v.Subs[i]
		found := s.On == home && s.InUse() && !s.Starting && s.Pacing > 0 && s.Age >= v.n.RefreshTrial
		if !found || s.Pacing*uint64(starving*v.n.SubflowCount) > total {
			continue
		}
		v.Keep(i, true, reason.Reason{Kind: starved, Path: s.Label(), Bytes: s.Pacing, Of: total})
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
func (v refresh) enter(s Stage) {
	v.m.Stage, v.m.At, v.m.Mark, v.m.MarkIn = s, v.Conn.Age, v.Conn.Sent, v.Conn.Received
	v.m.Counts = nil
	for i := range v.Subs {
		v.m.Counts = append(v.m.Counts, Carried{v.Subs[i].ID, v.Subs[i].Sent + v.Subs[i].Received})
	}
}

// step does what is due.
func (v refresh) step(home, used, parked int) {
	left := v.m.At + v.pause() - v.Conn.Age
	switch {
	case v.m.Stage == stageWarm && !v.warm(home):
		return // an event or a look that others ask for comes
	case left > 0:
		v.LookIn(left)
		return
	}
	switch v.m.Stage {
	case stageWarm:
		v.enter(stageJudge)
	case stageJudge:
		v.sift(home, used)
	case stageQuiet:
		v.weigh()
		if v.Room() < v.newcomers() && parked > 0 {
			v.clear(home, inTheWay)
			v.enter(stageRoom)
			break
		}
		v.admit(home)
	case stageRoom:
		v.admit(home)
	}
	v.LookIn(v.pause())
}

// pause is how long to wait in a stage at least. Rates need a time in which
// acknowledgements come back more than once.
func (v refresh) pause() time.Duration {
	span := v.n.RefreshTrial
	for i := range v.Subs {
		if s := &v.Subs[i]; !s.Backup {
			span = max(span, 3*s.RTT)
		}
	}
	switch {
	case v.m.Stage == stageRoom: // until the peer has heard that it may take others
		return span / 4
	case v.m.Stage != stageQuiet:
		return span
	case v.m.Turn < v.n.RefreshEarly:
		return span / 4
	}
	return min(v.n.RefreshInterval<<min(v.m.Turn-v.n.RefreshEarly, 16), v.n.RefreshMax)
}

// warm reports whether all subflows in use have got up to speed.
func (v refresh) warm(home int) bool {
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.On != home || s.Backup || s.Dropped() {
			continue
		}
		if left := max(v.n.RefreshTrial, 3*s.RTT) - s.Age; !s.Ready() || left > 0 {
			v.LookIn(left)
			return false
		}
	}
	return true
}

// newcomers is how many are tried in a round: as many as there are, and in the first
// one twice as many, because each way that is missed costs its share from the begin.
// Without room beside the n it is one, in place of the slowest.
func (v refresh) newcomers() int {
	n := v.n.SubflowCount
	if v.m.Turn <= 1 {
		n *= 2
	}
	return max(1, min(n, v.Params.MaxSubflows-v.n.SubflowCount))
}

// admit creates the newcomers.
func (v refresh) admit(home int) {
	if !v.CanOpen(home) {
		v.enter(stageQuiet)
		return
	}
	if v.Room() <= 0 {
		v.replace(home)
	}
	v.enter(stageQuiet)
	for range min(v.newcomers(), v.Room()) {
		v.Create(home, false, reason.Reason{Kind: inPlaceOfSlower})
	}
	if v.Created() > 0 {
		v.enter(stageWarm)
	}
}

// sift parks the slowest, one or those that make little difference together, and takes
// that back when it turns out that the connection is slower without. The round ends when
// n are in use.
func (v refresh) sift(home, used int) {
	total := v.together(home)
	if float64(total) < float64(v.m.Total)*(1-4*v.n.RefreshGain) && v.takeBack(home, total) {
		v.enter(stageJudge)
		return
	}
	v.m.Parked, v.m.Total = nil, total
	left := 2 * v.n.RefreshGain * float64(total)
	for _, i := range v.bySpeed(home) {
		s := &v.Subs[i]
		if left -= float64(v.speed(s)); used <= v.n.SubflowCount || left < 0 && len(v.m.Parked) > 0 {
			break
		}
		v.Keep(i, true, reason.Reason{Kind: slowestOf, Count: used, Path: s.Label(), Bytes: v.speed(s)})
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
func (v refresh) takeBack(home int, without uint64) bool {
	back := false
	for _, id := range v.m.Parked {
		i := v.parkedAs(home, id)
		if i == policy.Nowhere {
			continue
		}
		back = true
		s := &v.Subs[i]
		v.Keep(i, false, reason.Reason{Kind: missed, Bytes: v.m.Total, Of: without, Path: s.Label()})
	}
	if back {
		v.m.Proven = append(slices.Clip(v.m.Proven), v.m.Parked[len(v.m.Parked)-1])
	}
	v.m.Parked = nil
	return back
}

// weigh counts the rounds that left the connection's rate as it was.
func (v refresh) weigh() {
	was, now := float64(v.m.Rate), float64(perSecond(v.Conn.Sent-min(v.Conn.Sent, v.m.Mark)+v.Conn.Received-min(v.Conn.Received, v.m.MarkIn), v.Conn.Age-v.m.At))
	early := v.m.Turn < v.n.RefreshEarly
	v.m.Turn++
	if early {
		return // too short to tell
	}
	if was > 0 && (now > was*(1+v.n.RefreshGain) || now < was*(1-2*v.n.RefreshGain)) {
		v.m.Turn = v.n.RefreshEarly
	}
	v.m.Rate = uint64(now)
}
