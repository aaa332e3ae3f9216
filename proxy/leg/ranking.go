package leg

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/proxy"
)

// Source tells which paths there are, the best-ranked first. Implementations are safe
// for concurrent use and do not block.
type Source interface {
	Candidates() []Candidate
}

// Ranking is Paths by rank: the user's order, the round trip where all paths are used
// anyhow, and a memory of the ways that led nowhere lately. Create it with NewRanking.
type Ranking struct {
	source   Source
	anywhere func(mode string) bool

	mu    sync.Mutex
	avoid map[way]Verdict
}

// way is what may be dead: the path, or the address beyond it.
type way struct {
	path string
	to   netip.Addr
}

// Verdict is why a way is tried after the others, and until when.
type Verdict struct {
	Result Result
	Times  int       // that it was met in a row
	Since  time.Time // the first of them
	Last   time.Time // the latest
	Until  time.Time
}

const (
	// avoidTime is how long a way that did not lead to the concentrator is tried after
	// the others; twice as long each time that it does not again, avoidMost at most: the
	// first flow after that time pays for the look, with the delay of a race.
	avoidTime = 30 * time.Second
	avoidMost = 10 * time.Minute
	// overtakenTime is the same for a way that was tried before the one that answered,
	// and has said nothing yet. A silent path would otherwise cost each new leg the delay.
	overtakenTime = 10 * time.Second
)

// NewRanking returns a Ranking of what source tells; nil: there are no paths, and the
// kernel's routing decides. anywhere says of a mode that it uses all paths, so that a
// leg may begin on the one with the least round trip; nil: of none.
func NewRanking(source Source, anywhere func(mode string) bool) *Ranking {
	return &Ranking{source: source, anywhere: anywhere, avoid: make(map[way]Verdict)}
}

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

// LeftAlone implements Paths.
func (r *Ranking) LeftAlone(path string, to netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.avoid) > 0 && time.Now().Before(r.avoid[way{path, to}].Until)
}

// Verdicts returns for each path that is tried after the others now why it is.
func (r *Ranking) Verdicts() map[string]Verdict {
	now := time.Now()
	out := make(map[string]Verdict)
	r.mu.Lock()
	defer r.mu.Unlock()
	for w, v := range r.avoid {
		if now.Before(v.Until) && v.Until.After(out[w.path].Until) {
			out[w.path] = v
		}
	}
	return out
}

// Report implements Paths. TCP's handshake disproves what was met in place of one; what
// was met behind it only the concentrator's answer does.
func (r *Ranking) Report(path string, to netip.Addr, result Result) {
	w, now := way{path, to}, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.avoid[w]
	switch {
	case result == Fine, result == Connected && known && old.Result < Connected:
		delete(r.avoid, w)
		return
	case result == Connected:
		return
	}
	v := Verdict{Result: result, Times: 1, Since: now, Last: now}
	if known && old.Result == result {
		v.Since, v.Times = old.Since, old.Times+1
		if now.Before(old.Until) {
			v.Times = old.Times // nothing was waited for in between
		}
	}
	first := avoidTime
	if result == Overtaken {
		first = overtakenTime
	}
	v.Until = now.Add(min(first<<min(v.Times-1, 16), avoidMost))
	if result == Overtaken && old.Until.After(v.Until) {
		return // what is known is worse
	}
	r.forget(now)
	r.avoid[w] = v
}

// forget drops what is as long over as it lasted, so that the map holds no more than an
// entry for each way in use lately. r.mu is held.
func (r *Ranking) forget(now time.Time) {
	maps.DeleteFunc(r.avoid, func(_ way, v Verdict) bool { return now.Sub(v.Until) > v.Until.Sub(v.Last) })
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
