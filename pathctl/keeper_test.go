package pathctl

import (
	"testing"
	"time"
)

// TestQuarrel: the path manager is taken again at once, then later each time, ten minutes
// at the most; and at once again when there was peace for long.
func TestQuarrel(t *testing.T) {
	now := time.Unix(1e9, 0)
	var q quarrel
	var waits []time.Duration
	for range 15 {
		lost := now
		for again := false; !again; now = now.Add(keepEvery) {
			q, again = q.look(now, true)
		}
		waits = append(waits, now.Add(-keepEvery).Sub(lost))
		q, _ = q.look(now, false)
	}
	if waits[0] != 0 || waits[len(waits)-1] != keepMost {
		t.Errorf("waits %v, want none first and %v in the end", waits, keepMost)
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] {
			t.Errorf("waits %v do not grow", waits)
		}
	}
	now = now.Add(time.Hour)
	q, _ = q.look(now, false)
	if _, again := q.look(now, true); !again || q.times != 0 {
		t.Errorf("after an hour of peace: %+v", q)
	}
}
