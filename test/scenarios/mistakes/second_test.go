package mistakes

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestSecondClientFails: a client that is started by mistake while another one
// runs says so, and takes nothing away from the one that runs.
func TestSecondClientFails(t *testing.T) {
	t.Parallel()
	links := append(scene.ClientLinks(), netns.LinkConfig{Name: "wifi0"})
	r := scene.Start(t, rig.Config{Links: links})
	running := scene.HostState(t, r.Client)
	complains(t, r.Client, "", []string{"another"}, r.ClientBinary(), "run", "--config", r.ClientConfig())
	if diff := cmp.Diff(running, scene.HostState(t, r.Client)); diff != "" {
		t.Errorf("the failed start changed what the running client had set up:\n%s", diff)
	}
	scene.Works(t, r)
}
