package leg

import (
	"errors"
	"testing"
	"time"

	. "mpproxy/proxy/proxytest"

	"mpproxy/proxy"

	"github.com/google/go-cmp/cmp"
)

func TestQuickest(t *testing.T) {
	at := func(path string, ms int) Candidate {
		return Candidate{Path: path, RTT: time.Duration(ms) * time.Millisecond}
	}
	unknown := func(path string) Candidate { return Candidate{Path: path, Unmeasured: true} }
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

func TestAllowed(t *testing.T) {
	wifi, wifi6, lte, dsl := Candidate{Path: "wifi"}, Candidate{Path: "wifi", Interface: "six"}, Candidate{Path: "lte", Metered: true}, Candidate{Path: "dsl"}
	bad := func(c Candidate) Candidate { c.Troubled = true; return c }
	all := []Candidate{wifi, wifi6, dsl, lte}
	for _, tt := range []struct {
		name   string
		paths  []string
		cands  []Candidate
		want   []Candidate
		noPath bool
	}{
		{name: "no rule", cands: all, want: all},
		{name: "no rule, nothing is up"},
		{name: "no rule, trouble", cands: []Candidate{bad(wifi), bad(wifi6), dsl, lte}, want: []Candidate{dsl, lte, bad(wifi), bad(wifi6)}},
		{name: "one", paths: []string{"lte"}, cands: all, want: []Candidate{lte}},
		{name: "order of the rule", paths: []string{"lte", "wifi"}, cands: all, want: []Candidate{lte, wifi, wifi6}},
		{name: "one of them is not there", paths: []string{"sat", "dsl"}, cands: all, want: []Candidate{dsl}},
		{name: "trouble", paths: []string{"wifi", "dsl"}, cands: []Candidate{bad(wifi), lte, dsl}, want: []Candidate{dsl, bad(wifi)}},
		{name: "only a path in trouble", paths: []string{"wifi"}, cands: []Candidate{bad(wifi), dsl}, want: []Candidate{bad(wifi)}},
		{name: "none is there", paths: []string{"sat"}, cands: all, noPath: true},
		{name: "nothing is up", paths: []string{"sat"}, noPath: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := allowed(proxy.Choice{Paths: tt.paths, Rule: "rule 1"}, tt.cands)
			if errors.Is(err, ErrNoPath) != tt.noPath || !tt.noPath && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b Candidate) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFit: where it is all the same on which path a leg begins, it is for a leg that is
// used again, too; otherwise only the first path will do.
func TestFit(t *testing.T) {
	all := sourceOf{{Path: "dsl"}, {Path: "lte"}, {Path: "wifi", Troubled: true}}
	r := NewRanking(all, func(mode string) bool { return mode == "aggregate" }, nil)
	for _, tt := range []struct {
		choice proxy.Choice
		want   []string
	}{
		{proxy.Choice{Mode: "aggregate"}, []string{"dsl", "lte"}},
		{proxy.Choice{Mode: "handover"}, []string{"dsl"}},
		{proxy.Choice{Mode: "aggregate", Paths: []string{"lte", "dsl"}}, []string{"lte"}},
		{proxy.Choice{Mode: "aggregate", Paths: []string{"wifi"}}, nil},
	} {
		cands, err := r.Order(tt.choice)
		Must(t, err)
		var got []string
		for _, c := range cands {
			if c.Fit {
				got = append(got, c.Path)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.choice, diff)
		}
	}
}

type sourceOf []Candidate

func (s sourceOf) Candidates() []Candidate { return s }
