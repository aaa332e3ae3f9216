package networks

import (
	"strings"
	"testing"
	"time"

	"mpproxy/test/netns/link"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestForgottenByNAT: when the boxes on both paths have forgotten the connections that
// wait for another stream, the next one loses a second, and not one for each of them.
func TestForgottenByNAT(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, scene.Steered(rig.DSLAndLTE(), `log.level = "debug"`))
	const idle = 3 * time.Second
	for _, l := range r.Links {
		if err := l.SetMiddlebox(link.Middlebox{Idle: idle}); err != nil {
			t.Fatal(err)
		}
	}
	var all []*scene.Download
	for range 8 { // at once, so that each needs a leg of its own
		all = append(all, scene.StartDownload(t, r, scene.NewGate(t, 10_000), 100_000))
	}
	for _, d := range all {
		d.Gate.Wait(t)
	}
	for _, d := range all {
		d.Gate.Next()
		d.Finish(t)
	}
	time.Sleep(2 * idle) // the boxes forget when nothing crosses them
	scene.StartDownload(t, r, scene.NewGate(t), 20_000).Finish(t)
	if n := strings.Count(r.ClientDaemon.Output(), "a kept leg was of no use"); n != 1 {
		t.Errorf("%d legs were tried in vain, want 1", n)
	}
}
