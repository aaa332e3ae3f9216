package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// programs is the directory of the programs under test.
var programs string

func TestMain(m *testing.M) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, remove, err := rig.Enter(ctx)
	if dir == "" {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir // an error of entering is repeated, and explained, by netns.Require
	code := m.Run()
	err = remove()
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

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
