package main

import (
	"cmp"
	"slices"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
)

// upward is one segment with data on its way from the client.
type upward struct {
	at   float64 // seconds since the beginning
	path int     // index of the link
	data float64 // bytes of the connection before it
}

// flowKey is one direction of a subflow.
type flowKey struct{ src, dst string }

// upload follows the data sequence numbers of one connection through what a
// client sent. The connection is the one to which subflows with the token
// belong, or which began last with MP_CAPABLE.
func upload(all []capture.Segment, token uint32, begun time.Time, links []*netns.Link) []upward {
	isn := make(map[flowKey]uint32)
	var first flowKey
	for _, s := range all {
		if !s.SYN {
			continue
		}
		k := flowKey{s.Src.String(), s.Dst.String()}
		switch {
		case s.Capable && s.At.Before(begun):
			first = k
			isn[k] = s.Seq
		case s.Join && s.Token == token:
			isn[k] = s.Seq
		}
	}
	var out []upward
	var base uint64
	for _, s := range all {
		k := flowKey{s.Src.String(), s.Dst.String()}
		start, known := isn[k]
		if !known || s.SYN || s.Len == 0 || s.DSS.Length == 0 || k != first && s.At.Before(begun) {
			continue
		}
		data := s.DSS.Data + uint64(s.Seq-start-s.DSS.Subflow)
		if base == 0 {
			base = data
		}
		path := slices.IndexFunc(links, func(l *netns.Link) bool { return l.Client4 == s.Src.Addr() })
		if !s.DSS.Wide {
			out = append(out, upward{s.At.Sub(begun).Seconds(), path, float64(uint32(data) - uint32(base))})
			continue
		}
		out = append(out, upward{s.At.Sub(begun).Seconds(), path, float64(data - base)})
	}
	return out
}

// thin leaves most points at the most, evenly.
func thin(points []measure.Point, most int) []measure.Point {
	if len(points) <= most {
		return points
	}
	out := make([]measure.Point, 0, most)
	for i := range most {
		out = append(out, points[i*len(points)/most])
	}
	return out
}

// middle returns the run that is in the middle by some number.
func middle[T any](runs []T, by func(T) float64) T {
	sorted := slices.Clone(runs)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return sorted[len(sorted)/2]
}
