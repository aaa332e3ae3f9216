package observe

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/capture"
)

// Upload follows the data sequence numbers of one connection through what a
// client sent.
func (l leg) Upload(all []capture.Segment, begun time.Time, links []*netns.Link) []Upward {
	start := make(map[netip.AddrPort]uint32) // sequence number of each subflow's SYN
	var out []Upward
	base := uint64(0)
	for _, s := range all {
		if !s.Outgoing {
			continue
		}
		if s.SYN && (s.Src == l.first || s.Token == l.token) {
			start[s.Src] = s.Seq
		}
		isn, ours := start[s.Src]
		if !ours || s.Len == 0 || s.DSS.Length == 0 || s.At.Before(begun) {
			continue
		}
		data := s.DSS.Data + uint64(s.Seq-isn-s.DSS.Subflow)
		if len(out) == 0 {
			base = data
		}
		ahead := data - base
		if !s.DSS.Wide {
			ahead = uint64(uint32(ahead))
		}
		path := slices.IndexFunc(links, func(k *netns.Link) bool { return k.Client4 == s.Src.Addr() })
		out = append(out, Upward{s.At.Sub(begun).Seconds(), path, float64(ahead)})
	}
	return out
}

// Middle returns the run that is in the middle by some number.
func Middle[T any](runs []T, by func(T) float64) T {
	sorted := slices.Clone(runs)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return sorted[len(sorted)/2]
}

// Upward is one segment with data on its way from the client.
type Upward struct {
	At   float64 // seconds since the beginning
	Path int     // index of the link
	Data float64 // bytes of the connection before it
}
