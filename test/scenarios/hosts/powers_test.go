package hosts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// lacks starts a client with path_manager "userspace" that lacks something,
// wants it to be a working proxy, and returns its status in both forms.
func lacks(t *testing.T, cfg rig.Config, restrictions ...string) (*rig.Rig, status.Status, string) {
	t.Helper()
	cfg.NoClient = true
	r := scene.Start(t, cfg)
	scene.RunConfined(t, r, restrictions)
	scene.Works(t, r)
	st := scene.During(t, r)
	if c := st.Connections[0]; c.Protocol != "mptcp" || len(c.Subflows) == 0 {
		t.Errorf("connection: %+v", c)
	}
	return r, st, scene.TextOf(t, r)
}

// TestSteeredWithoutBPF: timeouts are noticed by reading the sockets, and a
// path that goes dark still costs nothing but time.
func TestSteeredWithoutBPF(t *testing.T) {
	t.Parallel()
	r, st, text := lacks(t, scene.Steered(rig.DSLAndLTE(), `mode = "handover"`), scene.RestrictBPF)
	scene.Steers(t, st)
	if !strings.HasPrefix(st.PathManager.Timeouts, "polling") {
		t.Errorf("timeouts are noticed by %q without CAP_BPF", st.PathManager.Timeouts)
	}
	scene.Missing(t, st, text, "eBPF", "CAP_BPF")
	const size = scene.TransferSize / 2
	up := scene.StartUpload(t, r, scene.NewGate(t, size/2), size)
	up.Gate.Wait(t)
	if err := r.Links[0].SetBlackhole(true); err != nil {
		t.Fatal(err)
	}
	up.Finish(t)
}

// TestSteeredWithoutNetAdmin: one path at a time, and the mode is said not to count.
func TestSteeredWithoutNetAdmin(t *testing.T) {
	t.Parallel()
	_, st, text := lacks(t, scene.Steered(rig.DSLAndLTE()), scene.RestrictNetAdmin)
	if st.PathManager.Backend != "kernel" || st.PathManager.Active {
		t.Errorf("path manager: %+v", st.PathManager)
	}
	scene.Missing(t, st, text, "CAP_NET_ADMIN", "setcap cap_net_admin")
	scene.Missing(t, st, text, "source routing", "CAP_NET_ADMIN")
	scene.Missing(t, st, text, "rules and modes", "CAP_NET_ADMIN")
}

// TestOnlyKernelPathManager: where user space cannot be the path manager, the
// kernel's makes the subflows, and status says so.
func TestOnlyKernelPathManager(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func() error
	}{
		{"a kernel that has no other", withoutPathManagerSysctl},
		{"sysctls that cannot be written, as in a container", readOnlySysctls},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := scene.Steered(rig.DSLAndLTE())
			cfg.Prepare = func(ctx context.Context, topo *netns.Topology) error { return topo.Client.Do(ctx, tt.prepare) }
			r := scene.Start(t, cfg)
			scene.BothWays(t, r) // the concentrator leaves such a client's subflows alone
			st := scene.StatusOf(t, r)
			if st.PathManager.Backend != "kernel" || !st.PathManager.Active {
				t.Errorf("path manager: %+v", st.PathManager)
			}
			scene.Missing(t, st, scene.TextOf(t, r), "rules and modes", "path_manager")
			line := scene.Saw(t, r.ClientDaemon, "cannot be the path manager")
			if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "error=") {
				t.Errorf("the log does not say why: %s", line)
			}
		})
	}
}

// TestConcentratorOnlyKernelPathManager: the same at the concentrator, with a
// client that steers.
func TestConcentratorOnlyKernelPathManager(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(rig.DSLAndLTE())
	cfg.Prepare = func(ctx context.Context, topo *netns.Topology) error {
		return topo.Concentrator.Do(ctx, readOnlySysctls)
	}
	r := scene.Start(t, cfg)
	scene.Saw(t, r.Server, "cannot be the path manager")
	scene.Steers(t, scene.StatusOf(t, r))
	scene.BothWays(t, r)
}

const mptcpSysctls = "/proc/sys/net/mptcp"

// readOnlySysctls mounts /proc/sys/net/mptcp read-only in the host of the
// calling thread.
func readOnlySysctls() error {
	if err := unix.Mount(mptcpSysctls, mptcpSysctls, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", mptcpSysctls, err)
	}
	if err := unix.Mount("", mptcpSysctls, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", mptcpSysctls, err)
	}
	return nil
}

// withoutPathManagerSysctl shows the host of the calling thread the sysctls of
// a kernel older than 5.19, on which MPTCP can be switched on and no more.
func withoutPathManagerSysctl() error {
	if err := unix.Mount("none", mptcpSysctls, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("hide %s: %w", mptcpSysctls, err)
	}
	return os.WriteFile(filepath.Join(mptcpSysctls, "enabled"), []byte("1\n"), 0o644)
}
