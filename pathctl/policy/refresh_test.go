package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// SMAPP §4.4: 100 MB over four ways of 8 Mbit/s, between which routers choose by
// ports. Ideally it takes 25 s here. Five ports miss one way or more in three
// runs of four.
func TestRefreshFindsTheWays(t *testing.T) {
	const size, runs = 100_000_000, 100
	took := func(mode Mode, seed uint64) time.Duration {
		a := fast("wifi")
		a.rate, a.branches = 1_000_000, 4
		w := newWorld(t, mode, fetch(size), a)
		w.conn.Params = DefaultParams(mode)
		w.conn.Params.SubflowCount = 5
		w.rng = rand.New(rand.NewPCG(seed, 4))
		for w.conn.Sent < size && w.conn.Age < 2*time.Minute {
			w.run(w.conn.Age + 100*ms)
		}
		w.check(w.count("drop wifi failed") == 0, "%s, seed %d: a subflow failed", mode, seed)
		return w.conn.Age
	}
	for _, tt := range []struct {
		mode          Mode
		tenth, median time.Duration // 9 of 10 runs, and half of them, take no longer
	}{{Ndiffports, 51 * time.Second, 34 * time.Second}, {Refresh, 28 * time.Second, 27 * time.Second}} {
		var all []time.Duration
		for seed := range uint64(runs) {
			p := took(tt.mode, seed)
			all = append(all, p)
		}
		slices.Sort(all)
		t.Logf("%s: %v, median %v, nine of ten %v, worst %v", tt.mode, all[0], all[runs/2], all[runs*9/10], all[runs-1])
		if all[runs/2] > tt.median || all[runs*9/10] > tt.tenth {
			t.Errorf("%s: median %v, nine of ten %v", tt.mode, all[runs/2], all[runs*9/10])
		}
	}
}

// A connection that has found its ways is left in peace.
func TestRefreshRests(t *testing.T) {
	w := newWorld(t, Refresh, bulk, fast("wifi"))
	w.run(time.Minute)
	before := w.count("create")
	w.run(5 * time.Minute)
	rounds := float64(w.count("create")-before) / 5
	w.check(rounds >= 6 && rounds <= 9, "%.1f rounds in four minutes", rounds)
	used := 0
	for _, f := range w.flows {
		if !f.Backup {
			used++
		}
	}
	w.check(used >= 5 && used <= 10 && len(w.flows) <= 20, "%d in use of %d", used, len(w.flows))
	w.check(w.count("drop wifi failed") == 0, "a subflow failed")
}

// What is parked goes when nothing flows any more.
func TestRefreshTidiesUp(t *testing.T) {
	w := newWorld(t, Refresh, fetch(20_000_000), fast("wifi"))
	w.run(time.Minute)
	w.check(w.count("wifi backup true") > 0, "nothing was parked")
	w.check(len(w.flows) == 5, "%d subflows are left", len(w.flows))
}

// One of the ways dies: the subflows on it go, the others are not left, and new
// ones come.
func TestRefreshLosesOneWay(t *testing.T) {
	a := fast("wifi")
	a.rate, a.branches = 1_000_000, 4
	w := newWorld(t, Refresh, bulk, a)
	w.run(10 * time.Second)
	a.deadBranch = 1 + w.flows[0].branch
	w.silence = 0
	w.run(40 * time.Second)
	w.check(w.silence <= 400*ms, "%v without a byte", w.silence) // two may go one after the other
	before := w.conn.Sent
	w.run(60 * time.Second)
	rate := (w.conn.Sent - before) / 20
	w.check(rate >= 2_400_000, "%d bytes/s over three ways", rate)
}
