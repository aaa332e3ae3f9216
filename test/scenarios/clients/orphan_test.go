package clients

import (
	"testing"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestDeadDestination: a destination that swallows all SYNs is waited for as long as the
// concentrator's documentation says, and nobody else is blamed.
func TestDeadDestination(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Prepare: specialRoutes})
	if _, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, silentHost, 80); reply != scene.RepTTLExpired {
		t.Errorf("reply %d, want %d", reply, scene.RepTTLExpired)
	}
	if st := scene.StatusOf(t, r); st.Server.State != "ok" {
		t.Errorf("the concentrator is said to be %q", st.Server.State)
	}
}

// TestOrphans: connections that applications have closed, and that the destination ignores,
// are gone soon after the kernel has forgotten the applications' ends. A half-closed one
// stays.
func TestOrphans(t *testing.T) {
	t.Parallel()
	noneKept := scene.With("limits.idle_legs = 0")
	r := scene.Start(t, rig.Config{EditClient: noneKept, EditServer: noneKept})
	if err := r.Client.SetSysctl(t.Context(), "net.ipv4.tcp_fin_timeout", "2"); err != nil {
		t.Fatal(err)
	}
	const port, orphans = 9, 50
	l, err := apps.Listen(t.Context(), r.Destination, port) // nobody accepts, let alone closes
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	half := scene.Through(t, r, r.Destination4.String(), port)
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	before := []int{scene.Descriptors(t, r.ClientDaemon), scene.Descriptors(t, r.Server)}
	for range orphans {
		c := scene.Through(t, r, r.Destination4.String(), port)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	scene.DescriptorsReturn(t, r.ClientDaemon, before[0]+pipes)
	scene.DescriptorsReturn(t, r.Server, before[1]+pipes)
	if st := scene.StatusOf(t, r); len(st.Connections) != 1 {
		t.Errorf("%d connections are left, want the half-closed one", len(st.Connections))
	}
}

// pipes is how many descriptors a program may keep for its next transfer.
const pipes = 16
