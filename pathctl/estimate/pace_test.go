package estimate

import (
	"math"
	"testing"
	"time"
)

// TestPace reads a subflow each 100 ms that delivers that many segments each time.
func TestPace(t *testing.T) {
	type part struct {
		readings int
		each     uint32
	}
	for _, tt := range []struct {
		name  string
		parts []part
		want  float64
	}{
		{"nothing is known yet", []part{{30, 40}}, 0},
		{"as ever", []part{{60, 40}}, 1},
		{"a third is missing", []part{{60, 42}, {15, 28}}, 2.0 / 3},
		{"a third is missing from the start", []part{{60, 28}}, 1},
		{"it is missing for long", []part{{60, 42}, {320, 28}}, 1},
		{"nothing flows", []part{{60, 40}, {15, 0}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p pace
			now, delivered := start, uint32(math.MaxUint32-100) // the counter wraps
			for _, part := range tt.parts {
				for range part.readings {
					now = now.Add(100 * time.Millisecond)
					delivered += part.each
					p.add(delivered, now)
				}
			}
			if got := p.share(now); math.Abs(got-tt.want) > 0.01 {
				t.Errorf("share %.3f, want %.3f", got, tt.want)
			}
			p.add(delivered, now.Add(5*time.Second))
			if got := p.share(now.Add(5 * time.Second)); got != 0 {
				t.Errorf("share %.3f after nobody has looked, want 0", got)
			}
		})
	}
}
