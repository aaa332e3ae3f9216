package mode

import (
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Streaming is for a block every period (SMAPP §4.3). A path is added when half-way
// through less than half a block is acknowledged, and a subflow whose RTO
// passes its threshold is closed. While all goes well there is no second
// subflow.
var Streaming = policy.Register(policy.Definition[StreamingNumbers, StreamingMemory]{
	Name: "streaming", Traits: policy.Traits{Place: 5},
	Adjust:   func(c *policy.Common) { c.RTOThreshold = time.Second }, // SMAPP §4.3
	Defaults: StreamingNumbers{Block: 64 << 10, Period: time.Second, BlockCheck: 500 * time.Millisecond},
	Numbers: []policy.Number[StreamingNumbers]{
		{Key: "block", Kind: policy.Bytes, Min: "1KB", Max: "1GB", End: policy.AtClient, Doc: "The size of a block.", Field: func(n *StreamingNumbers) any { return &n.Block }},
		{Key: "period", Kind: policy.Duration, Min: "50ms", Max: "1m", End: policy.AtClient, Doc: "The time from one block to the next.", Field: func(n *StreamingNumbers) any { return &n.Period }},
		{Key: "block_check", Kind: policy.Duration, Min: "20ms", Max: "1m", End: policy.AtClient, Doc: "A path is added when less than half a block has arrived after this time.", Field: func(n *StreamingNumbers) any { return &n.BlockCheck }},
	},
	Fits: []policy.Fit[StreamingNumbers]{
		{Key: "block_check", Legal: "less than period", OK: func(_ *policy.Common, n *StreamingNumbers) bool { return n.BlockCheck < n.Period }},
	},
	Want: func(v *policy.View, n StreamingNumbers, m *StreamingMemory) { streaming{v, n, m}.want() },
})

// StreamingNumbers are the size of a block in bytes, and when it begins and is looked at.
type StreamingNumbers struct {
	Block              uint64
	Period, BlockCheck time.Duration
}

// StreamingMemory is the block that is going on.
type StreamingMemory struct {
	// Turn counts late blocks.
	Turn int `json:",omitempty"`
	// Mark and MarkIn are the bytes sent and received when a block began, at the age At.
	Mark   uint64        `json:",omitempty"`
	MarkIn uint64        `json:",omitempty"`
	At     time.Duration `json:",omitempty"`
	// Seen is Conn.Received at the last plan.
	Seen uint64 `json:",omitempty"`
	// Active says that a block is going on, Checked that it was looked at half-way.
	Active  bool `json:",omitempty"`
	Checked bool `json:",omitempty"`
}

type streaming struct {
	*policy.View
	n StreamingNumbers
	m *StreamingMemory
}

func (v streaming) want() {
	late, why := v.blockLate()
	if late || !v.anyRegular() {
		late = !v.promote(why) && late
	}
	if k := v.NextPath(); late && k != policy.Nowhere && v.ReadyBut(policy.Nowhere) {
		v.Add(k, false, why)
	}
	for k := range v.Paths { // what was closed comes back as a reserve
		name := v.Paths[k].Name
		if _, failed := v.Note(name); failed && v.Probation(name) == 0 {
			v.Add(k, true, reason.Reason{Kind: reserve, Path: name})
		}
	}
}

// promote puts the preferred reserve to use.
func (v streaming) promote(why reason.Reason) bool {
	for k := range v.Paths {
		if i := v.ReadyOn(k); i != policy.Nowhere && v.Subs[i].Backup {
			v.Keep(i, false, why)
			return true
		}
	}
	return false
}

// anyRegular reports whether a subflow works that we do not hold as backup.
func (v streaming) anyRegular() bool {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Ready() && !s.Backup {
			return true
		}
	}
	return false
}

// blockLate follows the blocks, in whichever direction they go, and reports
// once a block that it is late.
func (v streaming) blockLate() (bool, reason.Reason) {
	m, c := v.m, v.Conn
	if m.Active && c.Age-m.At >= v.n.Period {
		m.Active = false
	}
	if !m.Active && (c.Pending > 0 || c.Received > m.Seen) {
		m.Active, m.Checked, m.At, m.Mark, m.MarkIn = true, false, c.Age, c.Sent, m.Seen
	}
	m.Seen = c.Received
	switch sinceStart := c.Age - m.At; {
	case !m.Active && sinceStart < 10*v.n.Period:
		v.LookIn(v.n.BlockCheck / 5) // to see the next block begin
	case !m.Active:
		v.LookIn(v.n.BlockCheck)
	case m.Checked:
		v.LookIn(v.n.Period - sinceStart)
	case sinceStart < v.n.BlockCheck:
		v.LookIn(v.n.BlockCheck - sinceStart)
	default:
		m.Checked = true
		v.LookIn(v.n.Period - sinceStart)
		return v.judge()
	}
	return false, reason.Reason{Kind: unused}
}

var (
	lateBlock = reason.New("late-block", "{bytes} of {of} bytes after {took} of a block")
	reserve   = reason.New("reserve", "{path} in reserve for a late block")
	unused    = reason.New("unused", "nothing else is in use")
)

// judge compares what came since the block began with half of it. A block that
// has come whole is never late, however small.
func (v streaming) judge() (bool, reason.Reason) {
	got, going := v.Conn.Sent-min(v.m.Mark, v.Conn.Sent), v.Conn.Pending > 0
	if !going {
		got = v.Conn.Received - min(v.m.MarkIn, v.Conn.Received)
		for i := range v.Subs {
			s := &v.Subs[i]
			going = going || s.Arrival > 0 && s.Quiet < v.n.BlockCheck/5
		}
	}
	if !going || got >= v.n.Block/2 {
		return false, reason.Reason{Kind: unused}
	}
	v.m.Turn++
	return true, reason.Reason{Kind: lateBlock, Bytes: got, Of: v.n.Block, Took: v.Conn.Age - v.m.At}
}
