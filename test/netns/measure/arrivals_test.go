package measure_test

import (
	"testing"
	"time"

	"mpproxy/test/netns/measure"
)

func TestArrivals(t *testing.T) {
	const s = time.Second
	as := measure.Arrivals{{At: 1 * s, Bytes: 1000}, {At: 2 * s, Bytes: 1000}, {At: 5 * s, Bytes: 3000}, {At: 6 * s, Bytes: 500}}
	for _, tt := range []struct {
		name           string
		from, to       time.Duration
		longest, since time.Duration
		goodput        float64
	}{
		{"whole", 0, 7 * s, 3 * s, 2 * s, 44000. / 7},
		{"nothing at the end", 5 * s, 10 * s, 4 * s, 6 * s, 5600},
		{"nothing at all", 7 * s, 9 * s, 2 * s, 7 * s, 0},
		{"from the middle of a gap", 3 * s, 6 * s, 2 * s, 3 * s, 8000},
	} {
		longest, since := as.Silence(tt.from, tt.to)
		if longest != tt.longest || since != tt.since {
			t.Errorf("%s: silence of %s since %s, want %s since %s", tt.name, longest, since, tt.longest, tt.since)
		}
		if got := as.Goodput(tt.from, tt.to); got != tt.goodput {
			t.Errorf("%s: goodput %v, want %v", tt.name, got, tt.goodput)
		}
	}
}
