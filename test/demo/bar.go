package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// lane is one line of the live picture. Rates are in bit/s.
type lane struct {
	name     string
	rate     float64
	capacity float64 // the length of the track
	note     string
}

// bar draws a lane on a scale at which full bit/s fill width cells, so that the
// tracks of two links are together as long as that of both: filled for what is
// used, light for what is not, then blanks.
func bar(width int, full float64, l lane) string {
	track := cells(width, l.capacity/full)
	used := cells(track, l.rate/l.capacity)
	return strings.Repeat("█", used) + strings.Repeat("░", track-used) + strings.Repeat(" ", width-track)
}

// cells returns the share of width, rounded, 0 for what is not a number.
func cells(width int, share float64) int {
	if math.IsNaN(share) {
		return 0
	}
	return int(math.Round(float64(width) * min(max(share, 0), 1)))
}

// frame is one picture: the links, both together, and how far the transfer is.
type frame struct {
	links    []lane
	received int64 // bytes
	size     int64 // bytes
	seconds  float64
}

func (f frame) together() lane {
	sum := lane{name: "both"}
	for _, l := range f.links {
		sum.rate += l.rate
		sum.capacity += l.capacity
	}
	return sum
}

// besides is the width of what lines has next to the bar, in cells.
const besides = 44

// lines draws the frame for a terminal of so many columns.
func (f frame) lines(columns int) []string {
	both := f.together()
	width := min(max(columns-besides, 10), 56)
	var out []string
	for _, l := range f.links {
		out = append(out, fmt.Sprintf("  %-5s %s %5.1f of %2.0f Mbit/s  %s", l.name, bar(width, both.capacity, l), l.rate/1e6, l.capacity/1e6, l.note))
	}
	progress := fmt.Sprintf("%4.1f of %.0f MB", float64(f.received)/1e6, float64(f.size)/1e6)
	return append(out, fmt.Sprintf("  %-5s %s %5.1f of %2.0f Mbit/s  %s", both.name, bar(width, both.capacity, both), both.rate/1e6, both.capacity/1e6, progress))
}

// line is the frame in one line, for output that is not a terminal.
func (f frame) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %4.1f s", f.seconds)
	for _, l := range append(slices.Clip(f.links), f.together()) {
		fmt.Fprintf(&b, "  %s %4.1f", l.name, l.rate/1e6)
		if l.note != "" {
			fmt.Fprintf(&b, " (%s)", l.note)
		}
	}
	fmt.Fprintf(&b, " Mbit/s  %4.1f of %.0f MB", float64(f.received)/1e6, float64(f.size)/1e6)
	return b.String()
}
