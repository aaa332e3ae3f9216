package paths

import (
	"fmt"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestSteeredPathGoesDark: a path that swallows everything, though its link
// stays up, costs no byte in either direction, and the end that was sending
// over it says what it did.
func TestSteeredPathGoesDark(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"aggregate", "handover", "interactive"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, scene.Steered(rig.DSLAndLTE(), fmt.Sprintf("mode = %q", mode)))
			const size = scene.TransferSize / 2
			down := scene.StartDownload(t, r, scene.NewGate(t, size/4), size)
			up := scene.StartUpload(t, r, scene.NewGate(t, size/4), size)
			down.Gate.Wait(t)
			up.Gate.Wait(t)
			if err := r.Links[0].SetBlackhole(true); err != nil {
				t.Fatal(err)
			}
			down.Gate.Next()
			up.Gate.Next()
			down.Finish(t)
			up.Finish(t)
			out := scene.EventsOf(t, r)
			if !strings.Contains(out, "dsl0: ") || !strings.Contains(out, "("+netns.DestinationName+":80, "+mode+")") {
				t.Errorf("events do not say what became of dsl0:\n%s", out)
			}
		})
	}
}
