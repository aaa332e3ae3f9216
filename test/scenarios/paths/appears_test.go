package paths

import (
	"context"
	"errors"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestPathAppears: a transfer that runs gets a subflow on a path that comes up
// later.
func TestPathAppears(t *testing.T) {
	t.Parallel()
	for _, manager := range scene.Managers {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			pathAppears(t, manager)
		})
	}
}

func pathAppears(t *testing.T, manager string) {
	const size = 12_000_000
	r := scene.Start(t, scene.ManagedBy(manager, rig.Config{
		Links: rig.DSLAndLTE(), EditClient: scene.SmallReceiveBuffer, EditServer: scene.SmallReceiveBuffer,
		Prepare: func(ctx context.Context, topo *netns.Topology) error {
			return errors.Join(scene.SmallBuffers(ctx, topo), topo.Links[1].Disconnect(ctx))
		},
	}))
	d := scene.StartDownload(t, r, scene.NewGate(t, size/6), size)
	d.Gate.Wait(t)
	scene.PathIs(t, r, "dsl0", true)
	scene.PathIs(t, r, "lte0", false)
	if err := r.Links[1].Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	scene.GainsSubflow(t, r, "lte0")
	scene.PathIs(t, r, "lte0", true)
	before := r.Links[1].Counters(netns.Downstream).DeliveredBytes
	d.Finish(t)
	if got := r.Links[1].Counters(netns.Downstream).DeliveredBytes - before; got < size/50 {
		t.Errorf("the new path carried %d bytes", got)
	}
}
