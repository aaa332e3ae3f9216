package leg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mpproxy/proxy"
)

// Candidate is one way to reach the concentrator.
type Candidate struct {
	Path      string     // name of the path
	Source    netip.Addr // local address to bind; invalid: the kernel chooses
	Interface string     // device to bind, so that no rule or route leads elsewhere; empty: none
	Metered   bool
	Troubled  bool // subflows fail on it just now: no place to begin if there is another
	Ranked    bool // the user has said where it stands
	// RTT is its round trip as measured lately; 0: not known.
	RTT time.Duration

	unknown bool // quickest has found that it may be better than the first
}

// Paths tells which ways there are, the best-ranked first. The controller
// implements it; implementations are safe for concurrent use and do not block.
type Paths interface {
	Candidates() []Candidate
}

// allowed returns the candidates that the choice allows, in the order of its
// preference, those in trouble last. It fails with ErrNoPath if none is left.
func allowed(c proxy.Choice, cands []Candidate) ([]Candidate, error) {
	out := slices.Clone(cands)
	if len(c.Paths) > 0 {
		out = slices.DeleteFunc(out, func(a Candidate) bool { return !slices.Contains(c.Paths, a.Path) })
		if len(out) == 0 {
			return nil, fmt.Errorf("%w: %s allows %s", ErrNoPath, c.Rule, strings.Join(c.Paths, ", "))
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		if a.Troubled != b.Troubled {
			return order(a.Troubled)
		}
		return slices.Index(c.Paths, a.Path) - slices.Index(c.Paths, b.Path)
	})
	return out, nil
}

func order(after bool) int {
	if after {
		return 1
	}
	return -1
}

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
