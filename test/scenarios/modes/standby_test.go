package modes

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mpproxy/internal/status"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestMeteredStandbyStaysSilent: while the first path is well not one packet is
// sent over a metered standby of handover, at either end. On a machine so busy
// that the link stood still the first path was not well, and that run says nothing.
func TestMeteredStandbyStaysSilent(t *testing.T) {
	const attempts, still = 5, 50 * time.Millisecond
	for _, upload := range []bool{false, true} {
		t.Run(fmt.Sprintf("upload %t", upload), func(t *testing.T) {
			t.Parallel()
			for range attempts {
				late := measure.WatchLateness()
				packets, seen := onStandby(t, upload)
				if packets == 0 {
					late()
					return
				}
				if l := late(); l.Worst < still {
					t.Fatalf("%d packets on the standby while the first path is well:\n%s", packets, seen)
				}
			}
			t.Skip("this machine is too busy to emulate a path that is well")
		})
	}
}

// onStandby counts the packets on the standby during a bulk transfer, and
// returns what was decided.
func onStandby(t *testing.T, upload bool) (packets uint64, seen string) {
	t.Helper()
	const length = 10 * time.Second
	cfg := scene.Steered(scene.Families(rig.Pair(5, 10, 5, 10), []bool{true, true}, []bool{false, false}), `mode = "handover"`)
	cfg.ClientArgs = []string{"--path", "dsl0", "--path", "lte0:metered"}
	cfg.Prepare = measure.WithoutIPv6
	r := scene.Start(t, cfg)
	run, err := measure.Bulk{Mode: "handover", Upload: upload, For: length}.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if run.Arrivals.Goodput(0, length) == 0 {
		t.Fatal("nothing was transferred: this says nothing")
	}
	isStandby := func(p status.Path) bool { return p.Name == "lte0" && p.Metered && p.State == "up" }
	if st := scene.StatusOf(t, r); !slices.ContainsFunc(st.Paths, isStandby) {
		t.Fatalf("lte0 is no metered path that is up: %+v", st.Paths)
	}
	first, last := run.Samples[0], run.Samples[len(run.Samples)-1]
	return last.Up[1].Offered - first.Up[1].Offered + last.Down[1].Offered - first.Down[1].Offered, scene.EventsOf(t, r)
}
