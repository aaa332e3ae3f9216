package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudgePairs(t *testing.T) {
	got := judge([]judged{
		{single: 10, stock: 5, ours: 10},  // harmful, rescued
		{single: 10, stock: 8, ours: 9},   // harmful, better, not well
		{single: 10, stock: 15, ours: 15}, // good
		{single: 10, stock: 16, ours: 12}, // good, spoilt
	})
	want := sum{pairs: 4, harmful: 2, left: 1, lost: 7, recovered: 6, good: 2, spoilt: 1, worst: 0.9, worstStock: 0.5, spoils: 0.75}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sum{})); diff != "" {
		t.Error(diff)
	}
}

func TestPairsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range allPairs() {
		seen[p.String()] = true
	}
	if len(seen) != len(allPairs()) || len(seen) < 40 {
		t.Errorf("%d pairs, %d different ones, want 40 or more", len(allPairs()), len(seen))
	}
}
