package operation

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestKilledDuringTransfer: after kill -9 in the middle of a transfer, the next
// start works with what is left, makes it what it would have made itself, and
// its normal stop leaves the host as it was before all.
func TestKilledDuringTransfer(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"kernel", "userspace"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			edit := scene.With(fmt.Sprintf("path_manager = %q", manager))
			r := scene.Start(t, rig.Config{Links: rig.DSLAndLTE(), EditServer: edit, EditClient: edit, NoClient: true})
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := scene.HostState(t, r.Client)
			startAgain := func() {
				t.Helper()
				if err := r.StartClient(t.Context()); err != nil {
					t.Fatal(err)
				}
				scene.Works(t, r)
			}
			startAgain()
			running := scene.HostState(t, r.Client)

			down := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize)
			up := scene.StartUpload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize)
			down.Gate.Wait(t)
			up.Gate.Wait(t)
			if err := r.ClientDaemon.Kill(); err != nil {
				t.Fatal(err)
			}
			if down.End(t) == nil || up.End(t) == nil {
				t.Fatal("the transfers do not need the program that was killed: this says nothing")
			}
			left := scene.HostState(t, r.Client)
			scene.Changed(t, before, left, []string{"rule", "route"})

			startAgain()
			if diff := cmp.Diff(running, scene.HostState(t, r.Client)); diff != "" {
				t.Errorf("the start after the kill made something else than the one before (-before +after):\n%s", diff)
			}
			if err := r.ClientDaemon.Stop(scene.Patient(t)); err != nil {
				t.Errorf("stop: %v", err)
			}
			if diff := cmp.Diff(before, scene.HostState(t, r.Client)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}
