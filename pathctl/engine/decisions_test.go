package engine

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecisionRing(t *testing.T) {
	const extra = 10
	var r decisionRing
	if ds, next, _ := r.since(0); len(ds) != 0 || next != 0 {
		t.Fatalf("empty ring: %v, next %d", ds, next)
	}
	for i := range KeptDecisions + extra {
		r.add(Decision{Why: strconv.Itoa(i)})
	}
	const total = KeptDecisions + extra
	for _, tt := range []struct {
		name        string
		from        uint64
		count       int
		first, last string
	}{
		{"lost ones are skipped", 0, KeptDecisions, "10", "1009"},
		{"the last that is kept", extra, KeptDecisions, "10", "1009"},
		{"some", total - 3, 3, "1007", "1009"},
		{"none", total, 0, "", ""},
		{"from a time to come", total + 5, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ds, next, more := r.since(tt.from)
			if len(ds) != tt.count || next != total || more == nil {
				t.Fatalf("%d decisions, next %d, channel %v", len(ds), next, more)
			}
			if tt.count > 0 {
				if diff := cmp.Diff([]string{tt.first, tt.last}, []string{ds[0].Why, ds[len(ds)-1].Why}); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestDecisionRingWakesAll(t *testing.T) {
	var r decisionRing
	_, next, first := r.since(0)
	_, _, second := r.since(0)
	select {
	case <-first:
		t.Fatal("closed before anything was added")
	default:
	}
	r.add(Decision{Why: "a"})
	<-first
	<-second
	ds, _, third := r.since(next)
	if diff := cmp.Diff([]Decision{{Why: "a"}}, ds); diff != "" {
		t.Error(diff)
	}
	select {
	case <-third:
		t.Error("the new channel is closed already")
	default:
	}
}
