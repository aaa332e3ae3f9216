package serve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTraffic: what is counted does not go when its connection does.
func TestTraffic(t *testing.T) {
	table := NewTable()
	one, other := &Connection{Mode: "handover"}, &Connection{Mode: "handover"}
	table.Add(one)
	table.Add(other)
	table.Add(&Connection{Mode: "single"})
	one.Counters.AToB.Add(10)
	one.Counters.BToA.Add(1)
	other.Counters.AToB.Add(5)
	want := Traffic{AToB: 15, BToA: 1, Modes: map[string]ModeCount{"handover": {2, 2}, "single": {1, 1}}}
	if diff := cmp.Diff(want, table.Traffic()); diff != "" {
		t.Error(diff)
	}
	table.Remove(one)
	other.Counters.AToB.Add(5)
	want.AToB, want.Modes["handover"] = 20, ModeCount{1, 2}
	if diff := cmp.Diff(want, table.Traffic()); diff != "" {
		t.Error(diff)
	}
}
