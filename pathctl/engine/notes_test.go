package engine

import (
	"testing"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
)

// TestNotesOfFarPaths: what a connection has noted of a path that is far away from another
// one holds for the next connection that has one of them, and for no other mode.
func TestNotesOfFarPaths(t *testing.T) {
	e := New(Config{Role: policy.Concentrator})
	now := time.Now()
	far := policy.Note{Path: "198.51.100.2", Far: "192.0.2.2", Failures: 1, Until: 20 * time.Second}
	lossy := policy.Note{Path: "203.0.113.9", Failures: 1, Until: 20 * time.Second}
	conn := policy.Conn{Role: policy.Concentrator, Mode: mode.Aggregate, Params: policy.DefaultParams(mode.Aggregate), Age: 12 * time.Second}
	e.keepNotes(conn, policy.Memory{}, policy.Memory{Notes: []policy.Note{far, lossy}}, now)

	for _, tt := range []struct {
		name  string
		mode  policy.Mode
		path  string
		later time.Duration
		left  time.Duration // that the path is set aside; 0: no note
	}{
		{"the same client", mode.Aggregate, "192.0.2.2", 0, 8 * time.Second},
		{"on the far path itself", mode.Aggregate, "198.51.100.2", 0, 8 * time.Second},
		{"later", mode.Aggregate, "192.0.2.2", 5 * time.Second, 3 * time.Second},
		{"when it is over, to be remembered", mode.Aggregate, "192.0.2.2", 10 * time.Second, -2 * time.Second},
		{"forgiven", mode.Aggregate, "192.0.2.2", 2 * time.Minute, 0},
		{"another client", mode.Aggregate, "203.0.113.9", 0, 0},
		{"another mode", mode.Handover, "192.0.2.2", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &connection{subflows: []*subflow{{path: tt.path}}}
			next := conn
			next.Mode, next.Age = tt.mode, time.Second
			e.firstNotes(c, next, now.Add(tt.later))
			n, ok := c.memory.Note(far.Path)
			if ok != (tt.left != 0) || ok && n.Until-next.Age != tt.left {
				t.Errorf("note %+v (%v), want %v left", n, ok, tt.left)
			}
			if _, ok := c.memory.Note(lossy.Path); ok {
				t.Error("a loss of one connection was held against the path in another")
			}
		})
	}
}

// TestNotesOfLossyPaths: a client's connection begins with what another one has found out
// about the loss of a path. A silence, and harm to one connection, are no matter of others.
func TestNotesOfLossyPaths(t *testing.T) {
	conn := policy.Conn{Role: policy.Client, Params: policy.DefaultParams(mode.Aggregate), Age: 12 * time.Second}
	note := func(kind reason.Kind) policy.Note {
		return policy.Note{Path: "lte0", Failures: 1, Until: 20 * time.Second, Reason: reason.Reason{Kind: kind, Path: "lte0"}}
	}
	for _, tt := range []struct {
		name string
		kind reason.Kind
		mode policy.Mode
		then func(b *bench)
		left time.Duration // that the path is set aside; 0: no note
	}{
		{"lossy", "lossy", mode.Aggregate, nil, 8 * time.Second},
		{"lossy, in another mode", "lossy", mode.Handover, nil, 8 * time.Second},
		{"lossy, in a mode with one subflow", "lossy", mode.Single, nil, 0},
		{"silent", "stalled", mode.Aggregate, nil, 0},
		{"harmful", "loses", mode.Aggregate, nil, 0},
		{"lossy, and gone", "lossy", mode.Aggregate, func(b *bench) { b.setPaths(nil)(b.now) }, 0},
		{"lossy, and requalified", "lossy", mode.Aggregate, func(b *bench) {
			b.now = b.now.Add(3 * time.Second)
			b.stateOf("lte0").Requalified(pathstate.RequalifyProbes, time.Millisecond, b.now)
			b.now = b.now.Add(time.Second)
		}, -time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			b.keepNotes(conn, policy.Memory{}, policy.Memory{Notes: []policy.Note{note(tt.kind)}}, b.now)
			if tt.then != nil {
				tt.then(b)
			}
			c, next := &connection{}, conn
			next.Mode, next.Age = tt.mode, 0
			b.firstNotes(c, next, b.now)
			n, ok := c.memory.Note("lte0")
			if ok != (tt.left != 0) || ok && n.Until != tt.left {
				t.Errorf("note %+v (%v), want %v left", n, ok, tt.left)
			}
		})
	}
}
