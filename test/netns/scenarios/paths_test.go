package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// localEnds are the local addresses of the subflows of the one connection in
// the status that may carry data, by path: after a failure a path that is back
// is a backup for a while, and without a round trip none is established.
func localEnds(t *testing.T, r *rig.Rig) map[string][]netip.AddrPort {
	t.Helper()
	st := statusOf(t, r)
	if len(st.Connections) != 1 {
		t.Fatalf("connections: %+v", st.Connections)
	}
	ends := map[string][]netip.AddrPort{}
	for _, f := range st.Connections[0].Subflows {
		if !f.Backup && f.RTTMillis > 0 {
			ends[f.Path] = append(ends[f.Path], f.Local)
		}
	}
	return ends
}

// gainsSubflow waits until the one connection of the status has a subflow on a
// path that is not among the old ones: those that the kernel is closing are
// still listed.
func gainsSubflow(t *testing.T, r *rig.Rig, path string, old []netip.AddrPort) {
	t.Helper()
	eventually(t, "a new subflow on "+path, func() string {
		ends := localEnds(t, r)
		if slices.ContainsFunc(ends[path], func(a netip.AddrPort) bool { return !slices.Contains(old, a) }) {
			return ""
		}
		return fmt.Sprintf("there are %v", ends)
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

// pathSize leaves enough behind a stop after the buffers on the way have filled.
const pathSize = 16_000_000

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
	for _, manager := range managers {
		t.Run(manager, func(t *testing.T) { pathAppears(t, manager) })
	}
}

func pathAppears(t *testing.T, manager string) {
	r := start(t, managedBy(manager, rig.Config{
		Links:   rig.DSLAndLTE(),
		Prepare: func(ctx context.Context, topo *netns.Topology) error { return topo.Links[1].Disconnect(ctx) },
	}))
	d := startDownload(t, r, newGate(t, pathSize/6, pathSize/2), pathSize)
	d.gate.wait(t)
	pathIs(t, r, "dsl0", true)
	pathIs(t, r, "lte0", false)
	if err := r.Links[1].Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	gainsSubflow(t, r, "lte0", nil)
	pathIs(t, r, "lte0", true)
	before := r.Links[1].Counters(netns.Downstream).DeliveredBytes
	d.finish(t)
	if got := r.Links[1].Counters(netns.Downstream).DeliveredBytes - before; got < pathSize/50 {
		t.Errorf("the new path carried %d bytes", got)
	}
}

// TestPathGoes: a transfer survives the loss of either path, and uses it again
// when it is back.
func TestPathGoes(t *testing.T) {
	for _, manager := range managers {
		for i, gone := range []string{"dsl0", "lte0"} {
			for _, how := range waysToGo {
				t.Run(fmt.Sprintf("%s, %s, %s", gone, how.name, manager), func(t *testing.T) { pathGoes(t, manager, i, how) })
			}
		}
	}
}

type wayToGo struct {
	name     string
	down, up func(context.Context, *netns.Link) error
}

var waysToGo = []wayToGo{
	{
		"carrier", func(_ context.Context, l *netns.Link) error { return l.SetCarrier(false) },
		func(_ context.Context, l *netns.Link) error { return l.SetCarrier(true) },
	},
	{
		"addresses", func(ctx context.Context, l *netns.Link) error { return l.Disconnect(ctx) },
		func(ctx context.Context, l *netns.Link) error { return l.Connect(ctx) },
	},
}

// pathGoes takes link number i away in the middle of a download, and gives it
// back.
func pathGoes(t *testing.T, manager string, i int, how wayToGo) {
	r := start(t, managedBy(manager, rig.Config{
		Links: rig.Pair(100, 5, 60, 10), EditClient: smallReceiveBuffer, EditServer: smallReceiveBuffer, Prepare: smallBuffers,
	}))
	gone := r.Links[i].Name
	d := startDownload(t, r, newGate(t, pathSize/8, pathSize*5/8), pathSize)
	d.gate.wait(t)
	gainsSubflow(t, r, "dsl0", nil)
	gainsSubflow(t, r, "lte0", nil)
	old := localEnds(t, r)[gone]
	if err := how.down(t.Context(), r.Links[i]); err != nil {
		t.Fatal(err)
	}
	d.gate.next()
	d.gate.wait(t) // the other path carries it
	pathIs(t, r, gone, false)
	works(t, r)
	if err := how.up(t.Context(), r.Links[i]); err != nil {
		t.Fatal(err)
	}
	gainsSubflow(t, r, gone, old)
	pathIs(t, r, gone, true)
	before := r.Links[i].Counters(netns.Downstream).DeliveredBytes
	d.finish(t)
	if got := r.Links[i].Counters(netns.Downstream).DeliveredBytes - before; got < pathSize/50 {
		t.Errorf("the path that is back carried %d bytes", got)
	}
}
