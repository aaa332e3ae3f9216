package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// secondProgram runs one more program in the client's network namespace: another client, or a concentrator.
func secondProgram(t *testing.T, r *rig.Rig, kind string) *netns.Process {
	t.Helper()
	dir := filepath.Join(r.Client.Dir(), "second")
	spec := netns.Spec{Path: r.ClientBinary(), Args: []string{"run", "--config", dir + ".toml", "--socks", "127.0.0.1:1081"}}
	if kind == "concentrator" {
		if out, err := r.Client.Command(t.Context(), r.ServerBinary(), "init", "--dir", dir, "--public", "198.51.100.2:8444").CombinedOutput(); err != nil {
			t.Fatalf("init: %v\n%s", err, out)
		}
		spec = netns.Spec{Path: r.ServerBinary(), Args: []string{"run", "--config", filepath.Join(dir, "server.toml")}}
	} else {
		b, err := os.ReadFile(r.ClientConfig())
		if err != nil {
			t.Fatal(err)
		}
		toml := scene.With(fmt.Sprintf("admin.socket = %q", dir+".sock"))(string(b))
		if err := os.WriteFile(dir+".toml", []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := r.Client.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	scene.Saw(t, p, "msg=ready")
	return p
}

// TestTwoPrograms: two programs share a network namespace. Whichever stops first takes
// nothing from the other, and the last one leaves the host as it was.
func TestTwoPrograms(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"client", "concentrator"} {
		for _, firstStops := range []bool{true, false} {
			name := kind + ", the second stops first"
			if firstStops {
				name = kind + ", the first stops first"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cfg := scene.Steered(scene.ClientLinks())
				cfg.NoClient = true
				r := scene.Start(t, cfg)
				if err := r.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				before := scene.HostState(t, r.Client)
				if err := r.StartClient(t.Context()); err != nil {
					t.Fatal(err)
				}
				second := secondProgram(t, r, kind)
				stops, stays := second, r.ClientDaemon
				if firstStops {
					stops, stays = stays, stops
				}
				if err := stops.Stop(scene.Patient(t)); err != nil {
					t.Errorf("stop: %v", err)
				}
				if v, err := r.Client.Sysctl(t.Context(), "net.mptcp.pm_type"); err != nil || v != "1" {
					t.Errorf("the path manager was taken from under the program that stays: %q, %v", v, err)
				}
				for _, p := range []*netns.Process{stops, stays} {
					for _, wrong := range []string{"sysctl -w net.mptcp", "user space already"} {
						if strings.Contains(p.Output(), wrong) {
							t.Errorf("%q is said of another mpproxy:\n%s", wrong, p.Output())
						}
					}
				}
				if !firstStops {
					scene.Works(t, r)
				}
				if err := stays.Stop(scene.Patient(t)); err != nil {
					t.Errorf("stop: %v", err)
				}
				if diff := cmp.Diff(before, scene.HostState(t, r.Client)); diff != "" {
					t.Errorf("after both stopped:\n%s", diff)
				}
			})
		}
	}
}
