package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
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
			cfg := steered(families(rig.DSLAndLTE(), []bool{true, true}, []bool{false, false}), fmt.Sprintf("mode = %q", tt.mode))
			cfg.Prepare = measure.WithoutIPv6
			r := start(t, cfg)
			before := onLTE(r)
			startDownload(t, r, newGate(t), tt.size).finish(t)
			const neighbours = 300 // what hosts say to find each other; data would be far more
			if got := onLTE(r) - before; got > neighbours != tt.second {
				t.Errorf("%d bytes on lte0: want a second subflow: %t", got, tt.second)
			}
			if got := strings.Contains(eventsOf(t, r), "create lte0"); got != tt.second {
				t.Errorf("lte0 in the decisions: %t, want %t:\n%s", got, tt.second, eventsOf(t, r))
			}
		})
	}
}

// onLTE is what both ends have given to the second link, in bytes.
func onLTE(r *rig.Rig) uint64 {
	return r.Links[1].Counters(netns.Upstream).OfferedBytes + r.Links[1].Counters(netns.Downstream).OfferedBytes
}

// eventsOf returns what `events` prints.
func eventsOf(t *testing.T, r *rig.Rig) string {
	t.Helper()
	out, err := r.Client.Command(t.Context(), r.ClientBinary(), "events", "--config", r.ClientConfig()).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
