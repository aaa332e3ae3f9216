package engine

import (
	"testing"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// TestLessons: what a connection has noted of a path that is far away from another
// one holds for the next connection that has one of them, and for no other mode.
func TestLessons(t *testing.T) {
	e := New(Config{Role: policy.Concentrator})
	now := time.Now()
	far := policy.Note{Path: "198.51.100.2", Far: "192.0.2.2", Failures: 1, Until: 20 * time.Second}
	lossy := policy.Note{Path: "203.0.113.9", Failures: 1, Until: 20 * time.Second}
	conn := policy.Conn{Role: policy.Concentrator, Mode: mode.Aggregate, Params: policy.DefaultParams(mode.Aggregate), Age: 12 * time.Second}
	e.learn(conn, policy.Memory{}, policy.Memory{Notes: []policy.Note{far, lossy}}, now)

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
			e.teach(c, next, now.Add(tt.later))
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
