package main

import (
	"testing"
)

func TestSimultLimitIsTheKernels(t *testing.T) {
	// 1000 * 16777216 * 8 * 10 / (20 * 1000 * 1000 * 9) ms, and 400 ms and 50 ms.
	s := shape{10, 10, 1, 50}
	if got := s.limit().Milliseconds(); got != 7456+400+50 {
		t.Errorf("limit of 10+10 Mbit/s is %d ms, want 7906", got)
	}
	if got := s.strict().Milliseconds(); got != 7456+50 {
		t.Errorf("limit of 10+10 Mbit/s without the join is %d ms, want 7506", got)
	}
}
