package mode

import (
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Lazy keeps to the path that the connection began with until the flow is long enough
// in bytes or seconds; from then on it does as Aggregate does. A pause begins a new
// count: a connection that is used again and again for little things stays as
// it is.
var Lazy = policy.Register(policy.Definition[LazyNumbers, LazyMemory]{
	Name: "lazy", Traits: policy.Traits{Place: 4, OnePath: true, SetsAside: true},
	Defaults: LazyDefaults,
	Numbers:  append(policy.Lift(guardTable, guardOfLazy), lazyTable...),
	Fits:     policy.LiftFits(guardFits, guardOfLazy),
	Want:     func(v *policy.View, n LazyNumbers, m *LazyMemory) { lazy{v, n, m}.want() },
	Sends: func(v *policy.View, n LazyNumbers, m *LazyMemory) {
		guard{v, n.GuardNumbers, &m.GuardMemory}.watch()
	},
})

// LazyNumbers say when a flow is long: in bytes, or in time and bytes a second.
type LazyNumbers struct {
	GuardNumbers
	LazyBytes, LazyRate uint64
	LazyTime            time.Duration
}

// LazyDefaults are the numbers of the mode.
var LazyDefaults = LazyNumbers{
	GuardNumbers: guardDefaults,
	// A page's parts stay on one path (200 KB), a download (20 MB) does not.
	LazyBytes: 1_000_000,
	LazyTime:  3 * time.Second,
	// Above audio (128 kbit/s), below video.
	LazyRate: 32_000,
}

var lazyTable = []policy.Number[LazyNumbers]{
	{Key: "lazy_bytes", Kind: policy.Bytes, Min: "0B", Max: "1000GB", End: policy.AtClient, Doc: "Further paths are opened when so many bytes came without a pause …", Field: func(n *LazyNumbers) any { return &n.LazyBytes }},
	{Key: "lazy_time", Kind: policy.Duration, Min: "0s", Max: "1h", End: policy.AtClient, Doc: "… or when they came for this long …", Field: func(n *LazyNumbers) any { return &n.LazyTime }},
	{Key: "lazy_rate", Kind: policy.Rate, Min: "0B", Max: "1GB", End: policy.AtClient, Doc: "… at this rate or faster.", Field: func(n *LazyNumbers) any { return &n.LazyRate }},
}

func guardOfLazy(n *LazyNumbers) *GuardNumbers { return &n.GuardNumbers }

// LazyMemory is the burst that is going on: while Active it began at the age At. Mark
// counts bytes both ways when it began. Once Turn is 1 the flow was long enough, and Mark
// and At are those of the guard.
type LazyMemory struct {
	Turn int `json:",omitempty"`
	GuardMemory
	Active bool `json:",omitempty"`
}

type lazy struct {
	*policy.View
	n LazyNumbers
	m *LazyMemory
}

func (v lazy) want() {
	var long reason.Reason
	if v.m.Turn == 0 {
		if long = v.longEnough(); long != (reason.Reason{}) {
			*v.m = LazyMemory{Turn: 1}
			v.Memory = policy.Memory{Notes: v.Memory.Notes, Watches: v.Memory.Watches}
		}
	}
	if v.m.Turn > 0 {
		spread(guard{v.View, v.n.GuardNumbers, &v.m.GuardMemory}, long)
		return
	}
	best, why := v.ByRank()
	v.Carry(best, policy.NoStandby, why)
}

var (
	manyBytes = reason.New("many-bytes", "{bytes} bytes without a pause")
	longFlow  = reason.New("long-flow", "{bytes} bytes in {took}")
)

// longEnough measures the burst that is going on.
func (v lazy) longEnough() reason.Reason {
	total := v.Conn.Sent + v.Conn.Received
	busy := v.Flows()
	if !busy && v.m.Active {
		v.m.Active, v.m.Mark = false, total
	}
	if busy && !v.m.Active {
		v.m.Active, v.m.At = true, v.Conn.Age // Mark is from before the burst
	}
	if !v.m.Active {
		v.m.Mark = total
		return reason.Reason{}
	}
	bytes, took := total-min(v.m.Mark, total), v.Conn.Age-v.m.At
	if bytes >= v.n.LazyBytes {
		return reason.Reason{Kind: manyBytes, Bytes: bytes}
	}
	if took >= v.n.LazyTime && float64(bytes) >= float64(v.n.LazyRate)*took.Seconds() {
		return reason.Reason{Kind: longFlow, Bytes: bytes, Took: took}
	}
	v.LookIn(min(lazyLook, max(v.n.LazyTime-took, policy.MinLook)))
	return reason.Reason{}
}

// lazyLook is how often a growing flow is measured: at 40 Mbit/s lazy_bytes
// take 200 ms.
const lazyLook = 200 * time.Millisecond
