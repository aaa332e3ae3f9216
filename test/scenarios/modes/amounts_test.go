package modes

import (
	"fmt"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestSecondSubflowByAmount: lazy makes a second subflow for a fetch that is
// long, and for no other; single for none.
func TestSecondSubflowByAmount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode   string
		size   int64
		second bool
	}{
		{"lazy", 200_000, false},
		{"lazy", 20_000_000, true},
		{"single", 200_000, false},
		{"single", 20_000_000, false},
	} {
		t.Run(fmt.Sprintf("%s, %d bytes", tt.mode, tt.size), func(t *testing.T) {
			t.Parallel()
			cfg := scene.Steered(scene.Families(rig.DSLAndLTE(), []bool{true, true}, []bool{false, false}), fmt.Sprintf("mode = %q", tt.mode))
			cfg.Prepare = measure.WithoutIPv6
			r := scene.Start(t, cfg)
			before := onLTE(r)
			scene.StartDownload(t, r, scene.NewGate(t), tt.size).Finish(t)
			const neighbours = 300 // what hosts say to find each other; data would be far more
			if got := onLTE(r) - before; got > neighbours != tt.second {
				t.Errorf("%d bytes on lte0: want a second subflow: %t", got, tt.second)
			}
			if got := strings.Contains(scene.EventsOf(t, r), "create lte0"); got != tt.second {
				t.Errorf("lte0 in the decisions: %t, want %t:\n%s", got, tt.second, scene.EventsOf(t, r))
			}
		})
	}
}

// onLTE is what both ends have given to the second link, in bytes.
func onLTE(r *rig.Rig) uint64 {
	return r.Links[1].Counters(netns.Upstream).OfferedBytes + r.Links[1].Counters(netns.Downstream).OfferedBytes
}
