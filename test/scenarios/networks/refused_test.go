package networks

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestRefusedJoins: a path on which somebody answers requests to join with a reset, or
// swallows them, is asked more and more seldom, although it answers plain handshakes.
func TestRefusedJoins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, verdict string }{
		{"reset", "reject with tcp reset"},
		{"swallowed", "drop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, scene.Steered(rig.DSLAndLTE()))
			scene.Middlebox(t, r, fmt.Sprintf(`table inet joins { chain in { type filter hook prerouting priority raw; }; chain local { type filter hook input priority filter; iifname %q tcp option mptcp subtype 1 %s; }; }`, r.Links[1].Name, tt.verdict))
			down := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize/2)
			down.Gate.Wait(t)
			begun := mptcpCount(t, r.Client, "MPJoinSynTx")
			const idle = 20 * time.Second // five attempts at 1, 3, 7 and 15 s, and one to come
			time.Sleep(idle)
			if n := mptcpCount(t, r.Client, "MPJoinSynTx") - begun; n > 8 {
				t.Errorf("%d requests to join in %v", n, idle)
			}
			down.Gate.Next()
			down.Finish(t)
			t.Log(scene.EventsOf(t, r))
		})
	}
}
