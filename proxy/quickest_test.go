package proxy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuickest(t *testing.T) {
	at := func(path string, ms int) Candidate {
		return Candidate{Path: path, RTT: time.Duration(ms) * time.Millisecond}
	}
	unknown := func(path string) Candidate { return Candidate{Path: path, unknown: true} }
	metered := func(c Candidate) Candidate { c.Metered = true; return c }
	ranked := func(c Candidate) Candidate { c.Ranked = true; return c }
	bad := func(c Candidate) Candidate { c.Troubled = true; return c }
	six := func(c Candidate) Candidate { c.Interface = "six"; return c }
	for _, tt := range []struct {
		name        string
		cands, want []Candidate
	}{
		{name: "none"},
		{name: "one", cands: []Candidate{at("dsl", 0)}, want: []Candidate{at("dsl", 0)}},
		{name: "much quicker", cands: []Candidate{at("dsl", 100), at("lte", 30)}, want: []Candidate{at("lte", 30), at("dsl", 100)}},
		{name: "both addresses of a path", cands: []Candidate{at("dsl", 100), six(at("dsl", 100)), at("lte", 30), six(at("lte", 30))}, want: []Candidate{at("lte", 30), six(at("lte", 30)), at("dsl", 100), six(at("dsl", 100))}},
		{name: "the quickest of three", cands: []Candidate{at("dsl", 100), at("lte", 30), at("cable", 20)}, want: []Candidate{at("cable", 20), at("dsl", 100), at("lte", 30)}},
		{name: "not by half", cands: []Candidate{at("dsl", 50), at("lte", 30)}, want: []Candidate{at("dsl", 50), at("lte", 30)}},
		{name: "not by much", cands: []Candidate{at("dsl", 12), at("lte", 3)}, want: []Candidate{at("dsl", 12), at("lte", 3)}},
		{name: "metered", cands: []Candidate{at("dsl", 100), metered(at("lte", 30))}, want: []Candidate{at("dsl", 100), metered(at("lte", 30))}},
		{name: "in trouble", cands: []Candidate{at("dsl", 100), bad(at("lte", 30))}, want: []Candidate{at("dsl", 100), bad(at("lte", 30))}},
		{name: "the user's order", cands: []Candidate{ranked(at("dsl", 100)), at("lte", 30)}, want: []Candidate{ranked(at("dsl", 100)), at("lte", 30)}},
		{name: "the user's last", cands: []Candidate{at("dsl", 100), ranked(at("lte", 30))}, want: []Candidate{at("dsl", 100), ranked(at("lte", 30))}},
		{name: "nothing is known", cands: []Candidate{at("dsl", 0), at("lte", 0)}, want: []Candidate{at("dsl", 0), unknown("lte")}},
		{name: "the first is not known", cands: []Candidate{at("dsl", 0), at("lte", 30)}, want: []Candidate{at("dsl", 0), at("lte", 30)}},
		{name: "the other is not known", cands: []Candidate{at("dsl", 100), at("lte", 0)}, want: []Candidate{at("dsl", 100), at("lte", 0)}},
		{name: "metered and not known", cands: []Candidate{at("dsl", 0), metered(at("lte", 0))}, want: []Candidate{at("dsl", 0), metered(at("lte", 0))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := quickest(tt.cands)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b Candidate) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
