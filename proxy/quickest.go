package proxy

import (
	"slices"
	"time"
)

// A connection begins with three or four round trips of handshakes and requests,
// and gets its other paths during the first of them. Where all paths are used, it
// gains by beginning on the one with the least.

// quicker is how much less a round trip must be for a path to come first: less
// than half, and by so much.
const quicker = 10 * time.Millisecond

// quickest moves the path with the least round trip to the front when it is much
// less than that of the first one, and marks those whose round trip is not known
// and that could be first. Neither passes what is metered or in trouble, or what the
// user has put in order.
func quickest(cands []Candidate) []Candidate {
	if len(cands) < 2 || !cands[0].free() {
		return cands
	}
	first, best := cands[0], cands[0]
	for i := range cands {
		switch c := &cands[i]; {
		case c.Path == first.Path || !c.free():
		case c.RTT == 0 && first.RTT == 0:
			c.unknown = true
		case first.RTT > 2*c.RTT && first.RTT-c.RTT > quicker && c.RTT > 0 && (best.Path == first.Path || c.RTT < best.RTT):
			best = *c
		}
	}
	slices.SortStableFunc(cands, func(a, b Candidate) int {
		if (a.Path == best.Path) == (b.Path == best.Path) {
			return 0
		}
		return order(b.Path == best.Path)
	})
	return cands
}

// free reports whether other paths may come before a candidate, and it before them.
func (c *Candidate) free() bool { return !c.Metered && !c.Troubled && !c.Ranked }
