package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Choice is how a connection is to be carried.
type Choice struct {
	Mode  string   // name of a mode; never empty
	Paths []string // the only paths allowed, the preferred one first; empty: all, by rank
	Rule  string   // what the rule is called that says so; empty: none does
	// Asked is set on the concentrator when the client named the mode: one that
	// decides about subflows does.
	Asked bool
}

// Chooser decides about a connection by where it goes, where the application
// came to, and who it is. Implementations are safe for concurrent use and return
// at once.
type Chooser interface {
	Choose(to Destination, listener netip.AddrPort, who Identity) Choice
}

// ErrNoPath: none of the paths that a rule allows is up. It says nothing about
// the concentrator.
var ErrNoPath = errors.New("none of the paths that are allowed is up")

// choose asks c, if there is one.
func choose(c Chooser, to Destination, listener netip.AddrPort, who Identity) Choice {
	if c == nil {
		return Choice{Mode: who.Mode}
	}
	return c.Choose(to, listener, who)
}

// allowed returns the candidates that the choice allows, in the order of its
// preference, those in trouble last. It fails with ErrNoPath if none is left.
func (c Choice) allowed(cands []Candidate) ([]Candidate, error) {
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
