package pathstate

import (
	"testing"
	"time"

	"mpproxy/pathctl/reason"
)

var patience = Patience{Hold: 8 * time.Second, HoldMax: 20 * time.Second, Forgive: time.Minute}

// TestNoteAgain: for how long a path is set aside after trouble at these times.
func TestNoteAgain(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name   string
		at     []time.Duration
		atOnce bool
		want   []time.Duration
	}{
		{"loss", []time.Duration{0, 10 * s, 30 * s}, true, []time.Duration{8 * s, 16 * s, 20 * s}},
		{"silence", []time.Duration{0, 10 * s, 30 * s}, false, []time.Duration{0, 8 * s, 16 * s}},
		{"forgiven a minute after the end", []time.Duration{0, 69 * s}, true, []time.Duration{8 * s, 8 * s}},
		{"not yet forgiven", []time.Duration{0, 68 * s}, true, []time.Duration{8 * s, 16 * s}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := Note{Path: "dsl0", Far: "lte0"}
			for i, at := range tt.at {
				n = n.Again(reason.Reason{Text: "lossy"}, tt.atOnce, patience, at)
				if got := n.Aside(at); got != tt.want[i] || n.Far != "" || n.Reason.Text != "lossy" {
					t.Errorf("after %v: set aside for %v, want %v (%+v)", at, got, tt.want[i], n)
				}
				if !n.OnTrial(patience, n.Until+patience.Forgive) || n.OnTrial(patience, n.Until+patience.Forgive+1) {
					t.Errorf("after %v: on trial until another time than %v behind %v", at, patience.Forgive, n.Until)
				}
			}
		})
	}
}

// TestKeptNotes: what all connections are told, in the time of each of them.
func TestKeptNotes(t *testing.T) {
	var s State
	begin := time.Unix(1000, 0)
	if _, ok := s.Noted(begin); ok {
		t.Error("a path of which nothing is known has a note")
	}
	far := Note{Path: "lte0", Failures: 2, Until: 30 * time.Second, Far: "dsl0"}
	s.Keep(far, begin)
	s.Keep(Note{Path: "lte0", Failures: 1, Until: 9 * time.Second}, begin.Add(20*time.Second)) // is over before
	want := func(when string, at time.Time, left time.Duration) {
		t.Helper()
		if n, ok := s.Noted(at); !ok || n.Until != left {
			t.Errorf("%s: %+v (%v), want %v left", when, n, ok, left)
		}
	}
	want("ten seconds later", begin.Add(10*time.Second), 20*time.Second)
	s.requalify(begin.Add(12 * time.Second))
	want("probes answered", begin.Add(12*time.Second), 18*time.Second)
	s.Keep(Note{Path: "lte0", Failures: 1, Until: 9 * time.Second}, begin.Add(30*time.Second))
	want("newer loss", begin.Add(30*time.Second), 9*time.Second)
	s.requalify(begin.Add(31 * time.Second))
	want("probes answered after loss", begin.Add(33*time.Second), -2*time.Second)
}
