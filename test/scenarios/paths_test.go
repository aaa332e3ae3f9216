package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// gainsSubflow waits until the one connection of the status has a subflow on a
// path that may carry data: without a round trip none is established.
func gainsSubflow(t *testing.T, r *rig.Rig, path string) {
	t.Helper()
	eventually(t, "a subflow on "+path, func() string {
		st := statusOf(t, r)
		if len(st.Connections) != 1 {
			t.Fatalf("connections: %+v", st.Connections)
		}
		fs := st.Connections[0].Subflows
		if slices.ContainsFunc(fs, func(f status.Subflow) bool { return f.Path == path && !f.Backup && f.RTTMillis > 0 }) {
			return ""
		}
		return fmt.Sprintf("there are %+v", fs)
	})
}

// pathIs waits until the status says that a path is up, or that it is not.
func pathIs(t *testing.T, r *rig.Rig, name string, up bool) {
	t.Helper()
	eventually(t, "path "+name, func() string {
		paths := statusOf(t, r).Paths
		isUp := slices.ContainsFunc(paths, func(p status.Path) bool { return p.Name == name && p.State == "up" })
		if isUp != up {
			return fmt.Sprintf("up should be %v: %+v", up, paths)
		}
		return ""
	})
}

// smallBuffers keeps programs and kernels from taking most of a transfer ahead
// of a gate.
func smallBuffers(ctx context.Context, topo *netns.Topology) error {
	var errs []error
	for _, h := range []*netns.Host{topo.Client, topo.Concentrator, topo.Destination} {
		for _, name := range []string{"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"} {
			errs = append(errs, h.SetSysctl(ctx, name, "4096 131072 524288"))
		}
	}
	return errors.Join(errs...)
}

var smallReceiveBuffer = with(`limits.receive_buffer = "1MiB"`)

// TestPathAppears: a transfer that runs gets a subflow on a path that comes up
// later.
func TestPathAppears(t *testing.T) {
	t.Parallel()
	for _, manager := range managers {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			pathAppears(t, manager)
		})
	}
}

func pathAppears(t *testing.T, manager string) {
	const size = 12_000_000
	r := start(t, managedBy(manager, rig.Config{
		Links: rig.DSLAndLTE(), EditClient: smallReceiveBuffer, EditServer: smallReceiveBuffer,
		Prepare: func(ctx context.Context, topo *netns.Topology) error {
			return errors.Join(smallBuffers(ctx, topo), topo.Links[1].Disconnect(ctx))
		},
	}))
	d := startDownload(t, r, newGate(t, size/6), size)
	d.gate.wait(t)
	pathIs(t, r, "dsl0", true)
	pathIs(t, r, "lte0", false)
	if err := r.Links[1].Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	gainsSubflow(t, r, "lte0")
	pathIs(t, r, "lte0", true)
	before := r.Links[1].Counters(netns.Downstream).DeliveredBytes
	d.finish(t)
	if got := r.Links[1].Counters(netns.Downstream).DeliveredBytes - before; got < size/50 {
		t.Errorf("the new path carried %d bytes", got)
	}
}
