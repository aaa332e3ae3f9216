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
	for _, manager := range scene.Managers {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			forgottenByNAT(t, manager)
		})
	}
}

func forgottenByNAT(t *testing.T, manager string) {
	r := scene.Start(t, scene.ManagedBy(manager, rig.Config{Links: rig.DSLAndLTE(), EditClient: scene.With(`log.level = "debug"`)}))
	stateful(t, link.Middlebox{Idle: time.Hour}, r.Links...)
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
	loses(t, r.Links...)
	scene.StartDownload(t, r, scene.NewGate(t), 20_000).Finish(t)
	// The controller may have given the first leg another subflow before it was given up.
	n := strings.Count(r.ClientDaemon.Output(), "a kept leg was of no use")
	if n > 1 || n == 0 && manager == "kernel" {
		t.Errorf("%d legs were tried in vain, want 1", n)
	}
}
