package scene

import (
	"fmt"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns/rig"
)

// TransferSize is enough for second subflows to carry a good part.
const TransferSize = 16_000_000

// BothWays downloads and uploads at the same time: each direction of a link is
// a queue of its own.
func BothWays(t *testing.T, r *rig.Rig) {
	t.Helper()
	before := StatusOf(t, r)
	down := StartDownload(t, r, NewGate(t, TransferSize/2), TransferSize)
	up := StartUpload(t, r, NewGate(t, TransferSize/2), TransferSize)
	down.Gate.Wait(t)
	up.Gate.Wait(t)
	var during status.Status
	// On a loaded machine mpproxy may take a path for dead and try it again later.
	Eventually(t, "a subflow of each connection on each path, and bytes", func() string {
		during = StatusOf(t, r)
		for _, c := range during.Connections {
			if paths := pathsOf(c); !paths["dsl0"] || !paths["lte0"] {
				return fmt.Sprintf("connection %d has %+v", c.ID, c.Subflows)
			}
			// Half of an upload has been read by curl. What it and the kernel
			// hold of that goes on to the client meanwhile.
			if most := max(c.SentBytes, c.ReceivedBytes); most < TransferSize/4 {
				return fmt.Sprintf("connection %d: %d bytes so far, but about %d are under way", c.ID, most, TransferSize/2)
			}
		}
		return ""
	})
	if len(during.Connections) != 2 {
		t.Fatalf("%d connections in the status, want 2: %+v", len(during.Connections), during.Connections)
	}
	for _, c := range during.Connections {
		checkConnection(t, c)
	}
	down.Finish(t)
	up.Finish(t)
	checkCounters(t, before, StatusOf(t, r))
}

// pathsOf returns the paths on which a connection has a subflow.
func pathsOf(c status.Connection) map[string]bool {
	paths := map[string]bool{}
	for _, f := range c.Subflows {
		paths[f.Path] = true
	}
	return paths
}

// checkConnection wants an MPTCP connection of the default mode. What each path
// had of it, the links' counters tell at the end.
func checkConnection(t *testing.T, c status.Connection) {
	t.Helper()
	if c.Protocol != "mptcp" || c.FellBack != "" || c.Token == "" || c.Mode != "aggregate" {
		t.Errorf("connection %d: protocol %s (%s), token %q, mode %s", c.ID, c.Protocol, c.FellBack, c.Token, c.Mode)
	}
}

// checkCounters wants the interfaces' counters to have moved by the transfers.
func checkCounters(t *testing.T, before, after status.Status) {
	t.Helper()
	if len(after.Paths) != 2 {
		t.Fatalf("paths: %+v", after.Paths)
	}
	var received, sent uint64
	for i, p := range after.Paths {
		rx, tx := p.ReceivedBytes-before.Paths[i].ReceivedBytes, p.SentBytes-before.Paths[i].SentBytes
		if rx < TransferSize/100 || tx < TransferSize/100 {
			t.Errorf("path %s: %d bytes received and %d sent by the interface", p.Name, rx, tx)
		}
		received, sent = received+rx, sent+tx
	}
	if received < TransferSize || sent < TransferSize {
		t.Errorf("all paths: %d bytes received and %d sent, less than was transferred", received, sent)
	}
}

// SomeMegabytes are enough to stop in the middle.
const SomeMegabytes = 3_000_000

// During transfers both ways, returns the status in the middle, and checks that
// everything arrives.
func During(t *testing.T, r *rig.Rig) status.Status {
	t.Helper()
	d := StartDownload(t, r, NewGate(t, SomeMegabytes/2), SomeMegabytes)
	d.Gate.Wait(t)
	st := StatusOf(t, r)
	d.Finish(t)
	StartUpload(t, r, NewGate(t), SomeMegabytes).Finish(t)
	if len(st.Connections) != 1 {
		t.Fatalf("connections: %+v", st.Connections)
	}
	return st
}
