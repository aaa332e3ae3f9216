package main

import (
	"testing"

	"mpproxy/pathctl/pathstate"
	"mpproxy/proxy/leg"
)

// TestResultsAgree: the data path and what is believed about paths have one list of what
// a leg can meet, each its own type for it.
func TestResultsAgree(t *testing.T) {
	for r := leg.Overtaken; r <= leg.Fine; r++ {
		if got, want := pathstate.Result(r).String(), r.String(); got != want {
			t.Errorf("%d is %q there and %q here", r, want, got)
		}
	}
	if pathstate.Result(leg.Fine) != pathstate.LegFine {
		t.Error("one list is longer than the other")
	}
}
