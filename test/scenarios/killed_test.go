package scenarios

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns/rig"
)

// TestKilledDuringTransfer: after kill -9 in the middle of a transfer, the next
// start works with what is left, makes it what it would have made itself, and
// its normal stop leaves the host as it was before all.
func TestKilledDuringTransfer(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"kernel", "userspace"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			edit := with(fmt.Sprintf("path_manager = %q", manager))
			r := start(t, rig.Config{Links: rig.DSLAndLTE(), EditServer: edit, EditClient: edit, NoClient: true})
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := hostState(t, r.Client)
			startAgain := func() {
				t.Helper()
				if err := r.StartClient(t.Context()); err != nil {
					t.Fatal(err)
				}
				works(t, r)
			}
			startAgain()
			running := hostState(t, r.Client)

			down := startDownload(t, r, newGate(t, transferSize/4), transferSize)
			up := startUpload(t, r, newGate(t, transferSize/4), transferSize)
			down.gate.wait(t)
			up.gate.wait(t)
			if err := r.ClientDaemon.Kill(); err != nil {
				t.Fatal(err)
			}
			if down.end(t) == nil || up.end(t) == nil {
				t.Fatal("the transfers do not need the program that was killed: this says nothing")
			}
			left := hostState(t, r.Client)
			changed(t, before, left, []string{"rule", "route"})

			startAgain()
			if diff := cmp.Diff(running, hostState(t, r.Client)); diff != "" {
				t.Errorf("the start after the kill made something else than the one before (-before +after):\n%s", diff)
			}
			if err := r.ClientDaemon.Stop(patient(t)); err != nil {
				t.Errorf("stop: %v", err)
			}
			if diff := cmp.Diff(before, hostState(t, r.Client)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}
