package main

import (
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig/rigtest"
)

// programs is the directory of the programs under test.
var programs string

func TestMain(m *testing.M) { rigtest.Main(m, &programs) }

// TestCostSmall runs one experiment at a tiny scale: the programs, the capture
// and what is made of it.
func TestCostSmall(t *testing.T) {
	netns.Require(t)
	l := &lab{options: options{bin: programs}}
	for _, a := range []arm{stockFullMesh, ours("aggregate")} {
		delays, err := costRun(t.Context(), l, a, false, 3)
		if err != nil {
			t.Errorf("%s: %v", a.label, err)
		}
		for _, d := range delays {
			if d <= 0 {
				t.Errorf("%s: MP_JOIN %v µs after MP_CAPABLE", a.label, d)
			}
		}
	}
}
