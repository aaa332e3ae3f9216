package netpath

import (
	"testing"
	"time"
)

func TestCoalescer(t *testing.T) {
	start := time.Now()
	for _, tt := range []struct {
		name  string
		hints []time.Duration // after start
		want  time.Duration   // from the last hint
	}{
		{"one", []time.Duration{0}, quietTime},
		{"a burst", []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond}, quietTime},
		{"a long burst", []time.Duration{0, maxDelay - 10*time.Millisecond}, 10 * time.Millisecond},
		{"past the limit", []time.Duration{0, maxDelay + time.Second}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c coalescer
			var got time.Duration
			for _, h := range tt.hints {
				got = c.hint(start.Add(h))
			}
			diff(t, "delay", tt.want, got)
		})
	}
}
