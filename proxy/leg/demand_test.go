package leg

import (
	"testing"
	"time"
)

// TestDemand: as many legs are ready as bursts took, fewer when it is quiet, none after a
// while, and as many as before with the next flow.
func TestDemand(t *testing.T) {
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	for _, tt := range []struct {
		name string
		run  func(d *demand)
		at   float64
		want int
	}{
		{"nobody asked", func(*demand) {}, 0, 0},
		{"one flow", func(d *demand) { d.took(at(0)) }, 1, 1},
		{"a burst", func(d *demand) { take(d, at(0), 8) }, 1, 8},
		{"a burst, a quarter of the time ago", func(d *demand) { take(d, at(0), 8) }, 7.5, 4},
		{"a burst, almost all of it ago", func(d *demand) { take(d, at(0), 8) }, 29, 1},
		{"one flow, almost all of it ago", func(d *demand) { d.took(at(0)) }, 29, 1},
		{"a burst, too long ago", func(d *demand) { take(d, at(0), 8) }, 30, 0},
		{"a flow after it was quiet", func(d *demand) { take(d, at(0), 8); d.took(at(300)) }, 301, 8},
		{"the burst is long ago", func(d *demand) { take(d, at(0), 8); d.took(at(599)) }, 600, 1},
		{"the larger burst counts", func(d *demand) { take(d, at(0), 3); take(d, at(5), 8); take(d, at(10), 2) }, 11, 8},
		{"the smaller one outlives it", func(d *demand) { take(d, at(0), 8); take(d, at(5), 3); d.took(at(601)) }, 602, 3},
		{"flows that follow one another", func(d *demand) {
			for i := range 100 {
				d.took(at(float64(i) / 10))
				d.returned()
			}
		}, 10, 1},
		{"long flows, now and then", func(d *demand) {
			for i := range 100 {
				d.took(at(3 * float64(i)))
			}
		}, 300, 1},
	} {
		var d demand
		tt.run(&d)
		if got := d.ready(at(tt.at)); got != tt.want {
			t.Errorf("%s: %d legs, want %d", tt.name, got, tt.want)
		}
	}
}

func take(d *demand, now time.Time, n int) {
	for range n {
		d.took(now)
	}
}
