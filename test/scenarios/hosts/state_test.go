package hosts

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestHostStateIsPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		manager              string
		client, concentrator []string // kinds of what must be seen to change
	}{
		{"userspace", []string{"rule", "route", "net.mptcp.pm_type", "net.mptcp.blackhole_timeout"}, []string{"net.mptcp.pm_type"}},
		{"kernel", []string{"rule", "route", "endpoint", "limits", "net.mptcp.blackhole_timeout"}, []string{"endpoint", "limits"}},
	} {
		t.Run(tt.manager, func(t *testing.T) {
			t.Parallel()
			var concentrator []string
			cfg := scene.ManagedBy(tt.manager, rig.Config{
				// Three paths need more subflows than the kernel allows by default.
				Links: append(scene.ClientLinks(), netns.LinkConfig{Name: "wifi0"}), NoClient: true,
				EditServer: scene.With(`announce.addresses = ["203.0.113.1", "2001:db8:100::1"]`),
				Prepare: func(ctx context.Context, topo *netns.Topology) error {
					concentrator = scene.HostState(t, topo.Concentrator)
					return nil
				},
			})
			r := scene.Start(t, cfg)
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Run("client", func(t *testing.T) {
				putBack(t, r.Client, scene.HostState(t, r.Client), tt.client, func() *netns.Process {
					if err := r.StartClient(t.Context()); err != nil {
						t.Fatal(err)
					}
					scene.Works(t, r)
					says(t, scene.TextOf(t, r), "Changed on this host", "net.mptcp.blackhole_timeout: 0 (was 3600, put back when mpproxy stops)")
					return r.ClientDaemon
				})
			})
			t.Run("concentrator", func(t *testing.T) {
				if err := r.Server.Stop(scene.Patient(t)); err != nil {
					t.Fatal(err)
				}
				putBack(t, r.Concentrator, concentrator, tt.concentrator, func() *netns.Process {
					if err := r.RunServer(t.Context()); err != nil {
						t.Fatal(err)
					}
					return r.Server
				})
			})
		})
	}
}

// putBack runs a program twice, and kills it the first time: what it changed
// must be there then, so that the test sees something, and be gone after the
// second.
func putBack(t *testing.T, h *netns.Host, before, kinds []string, run func() *netns.Process) {
	t.Helper()
	if diff := cmp.Diff(before, scene.HostState(t, h)); diff != "" {
		t.Fatalf("before the start:\n%s", diff)
	}
	stop := func(p *netns.Process) {
		t.Helper()
		if err := p.Stop(scene.Patient(t)); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	p := run()
	during := scene.HostState(t, h)
	scene.Changed(t, before, during, kinds)
	scene.Unchanged(t, before, during, "net.ipv4.tcp_wmem")
	stop(p)
	if diff := cmp.Diff(before, scene.HostState(t, h)); diff != "" {
		t.Errorf("after a normal stop:\n%s", diff)
	}

	p = run()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	scene.Changed(t, before, scene.HostState(t, h), kinds)
	stop(run())
	if diff := cmp.Diff(before, scene.HostState(t, h)); diff != "" {
		t.Errorf("after a kill, a start and a stop:\n%s", diff)
	}
}
