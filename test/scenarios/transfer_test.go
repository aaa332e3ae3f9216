package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// transferSize is enough for second subflows to carry a good part.
const transferSize = 16_000_000

// families gives the links of a rig the address families of the case.
func families(links []netns.LinkConfig, v4, v6 []bool) []netns.LinkConfig {
	for i := range links {
		links[i].V4, links[i].V6 = v4[i], v6[i]
	}
	return links
}

func TestTransfersUseBothPaths(t *testing.T) {
	t.Parallel()
	yes, no := []bool{true, true}, []bool{false, false}
	for _, tt := range []struct {
		name, security, host string
		v4, v6               []bool
		server               func(string) string
		prepare              func(context.Context, *netns.Topology) error
	}{
		{name: "IPv4, TLS", security: "tls", v4: yes, v6: no},
		{name: "IPv4, no TLS", security: "none", v4: yes, v6: no},
		{name: "IPv6, TLS", security: "tls", host: "2001:db8:100::1", v4: no, v6: yes},
		{name: "both families, by name, no TLS", security: "none", host: netns.ConcentratorName, v4: yes, v6: yes},
		{
			name: "one IPv4 and one IPv6, announced by itself, TLS", security: "tls",
			v4: []bool{true, false}, v6: []bool{false, true}, prepare: internetRoutes,
		},
		{
			name: "one IPv6 and one IPv4, announced by configuration, no TLS", security: "none", host: "2001:db8:100::1",
			v4: []bool{false, true}, v6: []bool{true, false}, server: with(`announce.addresses = ["203.0.113.1"]`),
		},
	} {
		for _, manager := range managers {
			t.Run(tt.name+", "+manager, func(t *testing.T) {
				t.Parallel()
				r := start(t, managedBy(manager, rig.Config{
					Links: families(rig.DSLAndLTE(), tt.v4, tt.v6), Security: tt.security, Host: tt.host,
					EditServer: tt.server, Prepare: tt.prepare,
				}))
				if got := statusOf(t, r).PathManager.Backend; got != manager {
					t.Errorf("subflows are made by %s", got)
				}
				bothWays(t, r)
			})
		}
	}
}

// managers are the values of path_manager, the default first.
var managers = []string{"userspace", "kernel"}

// bothWays downloads and uploads at the same time: each direction of a link is
// a queue of its own.
func bothWays(t *testing.T, r *rig.Rig) {
	t.Helper()
	before := statusOf(t, r)
	down := startDownload(t, r, newGate(t, transferSize/2), transferSize)
	up := startUpload(t, r, newGate(t, transferSize/2), transferSize)
	down.gate.wait(t)
	up.gate.wait(t)
	var during status.Status
	// On a loaded machine mpproxy may take a path for dead and try it again later.
	eventually(t, "a subflow of each connection on each path, and bytes", func() string {
		during = statusOf(t, r)
		for _, c := range during.Connections {
			if paths := pathsOf(c); !paths["dsl0"] || !paths["lte0"] {
				return fmt.Sprintf("connection %d has %+v", c.ID, c.Subflows)
			}
			// Half of an upload has been read by curl. What it and the kernel
			// hold of that goes on to the client meanwhile.
			if most := max(c.SentBytes, c.ReceivedBytes); most < transferSize/4 {
				return fmt.Sprintf("connection %d: %d bytes so far, but about %d are under way", c.ID, most, transferSize/2)
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
	down.finish(t)
	up.finish(t)
	checkCounters(t, before, statusOf(t, r))
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
		if rx < transferSize/100 || tx < transferSize/100 {
			t.Errorf("path %s: %d bytes received and %d sent by the interface", p.Name, rx, tx)
		}
		received, sent = received+rx, sent+tx
	}
	if received < transferSize || sent < transferSize {
		t.Errorf("all paths: %d bytes received and %d sent, less than was transferred", received, sent)
	}
}

func statusOf(t *testing.T, r *rig.Rig) status.Status {
	t.Helper()
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// internetRoutes gives the concentrator default routes, as on the Internet: by
// them it finds out which public addresses it has.
func internetRoutes(ctx context.Context, topo *netns.Topology) error {
	return topo.Concentrator.Do(ctx, func() error {
		return errors.Join(defaultRoute("0.0.0.0/0", topo.Destination4), defaultRoute("::/0", topo.Destination6))
	})
}

func defaultRoute(prefix string, gateway netip.Addr) error {
	wan, err := netlink.LinkByName("wan0")
	if err != nil {
		return err
	}
	dst, err := netlink.ParseIPNet(prefix)
	if err != nil {
		return err
	}
	r := netlink.Route{LinkIndex: wan.Attrs().Index, Dst: dst, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
	if err := netlink.RouteAdd(&r); err != nil {
		return fmt.Errorf("default route %s via %s: %w", prefix, gateway, err)
	}
	return nil
}
