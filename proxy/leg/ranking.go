package leg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mpproxy/proxy"
)

// Source tells which paths there are, the best-ranked first. Implementations are safe
// for concurrent use and do not block.
type Source interface {
	Candidates() []Candidate
}

// Memory is what legs have met on each way: a path, and an address of the concentrator
// beyond it. Implementations are safe for concurrent use and do not block.
type Memory interface {
	// LeftAlone and Report are those of Paths.
	LeftAlone(path string, to netip.Addr) bool
	Report(path string, to netip.Addr, r Result)
}

// Ranking is Paths by rank: the user's order, the round trip where all paths are used
// anyhow, and a memory of the ways that led nowhere lately. Create it with NewRanking.
type Ranking struct {
	Memory
	source   Source
	anywhere func(mode string) bool
}

// NewRanking returns a Ranking of what source tells; nil: there are no paths, and the
// kernel's routing decides. anywhere says of a mode that it uses all paths, so that a
// leg may begin on the one with the least round trip; nil: of none. m is the memory;
// nil: there is none, as for a single leg.
func NewRanking(source Source, anywhere func(mode string) bool, m Memory) *Ranking {
	if m == nil {
		m = none{}
	}
	return &Ranking{source: source, anywhere: anywhere, Memory: m}
}

// none remembers nothing.
type none struct{}

func (none) LeftAlone(string, netip.Addr) bool { return false }
func (none) Report(string, netip.Addr, Result) {}

// Order implements Paths.
func (r *Ranking) Order(c proxy.Choice) ([]Candidate, error) {
	var all []Candidate
	if r.source != nil {
		all = r.source.Candidates()
	}
	cands, err := allowed(c, all)
	if err != nil {
		return nil, err
	}
	anywhere := len(c.Paths) == 0 && r.anywhere != nil && r.anywhere(c.Mode)
	for i := range cands {
		cands[i].Fit = (anywhere || i == 0) && !cands[i].Troubled
	}
	if anywhere {
		cands = quickest(cands)
	}
	return cands, nil
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

// quicker is the least difference of round trips by which a path comes first; its round
// trip must be less than half of the other's besides.
const quicker = 10 * time.Millisecond

// quickest is for modes that use all paths. A leg begins with three or four round trips
// of handshakes and requests, and gets its other paths during the first of them: it gains
// by beginning on the path with the least.
//
// It moves the path with the least round trip to the front when it is much
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
			c.Unmeasured = true
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
