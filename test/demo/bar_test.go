//go:build linux

package main

import (
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestBar(t *testing.T) {
	tests := []struct {
		name     string
		rate     float64
		capacity float64
		want     string
	}{
		{"idle", 0, 50, "░░░░░     "},
		{"full", 50, 50, "█████     "},
		{"rounded up", 36, 50, "████░     "},
		{"rounded down", 34, 50, "███░░     "},
		{"more than it can", 60, 50, "█████     "},
		{"counter ran backwards", -1, 50, "░░░░░     "},
		{"whole scale", 50, 100, "█████░░░░░"},
		{"beyond the scale", 100, 200, "█████░░░░░"},
		{"no link at all", 0, 0, "          "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := bar(10, 100, lane{rate: tt.rate, capacity: tt.capacity}); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func twoLinks() frame {
	return frame{
		links:    []lane{{name: "DSL", rate: 25e6, capacity: 50e6}, {name: "LTE", rate: 0, capacity: 20e6, note: "gone"}},
		received: 12_340_000, size: 60_000_000, seconds: 3.21,
	}
}

func TestFrameLines(t *testing.T) {
	want := []string{
		"  DSL   █████░░░░░      25.0 of 50 Mbit/s  ",
		"  LTE   ░░░░             0.0 of 20 Mbit/s  gone",
		"  both  █████░░░░░░░░░  25.0 of 70 Mbit/s  12.3 of 60 MB",
	}
	if diff := cmp.Diff(want, twoLinks().lines(besides+14)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A line that wraps would make redrawing climb too low.
func TestFrameLinesFit(t *testing.T) {
	f := twoLinks()
	f.links[0].rate, f.links[1].note = 123.4e6, "on average"
	f.received = f.size
	for columns := minColumns; columns < 200; columns++ {
		for _, line := range f.lines(columns) {
			if n := utf8.RuneCountInString(line); n > columns {
				t.Errorf("%d columns, and %d in %q", columns, n, line)
			}
		}
	}
}

func TestFrameLine(t *testing.T) {
	want := "   3.2 s  DSL 25.0  LTE  0.0 (gone)  both 25.0 Mbit/s  12.3 of 60 MB"
	if got := twoLinks().line(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
