package hosts

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// addEndpoint registers one with the id that the kernel gives it: once there are
// endpoints of ours, that is one behind them.
func addEndpoint(ctx context.Context, h *netns.Host, e mptcppm.Endpoint) error {
	return h.Do(ctx, func() error {
		pm, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		defer pm.Close()
		return pm.AddEndpoint(ctx, e)
	})
}

func foreignAddrs(t *testing.T, h *netns.Host) (addrs []netip.Addr) {
	t.Helper()
	err := h.Do(t.Context(), func() error {
		pm, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		defer pm.Close()
		es, err := pm.Endpoints(t.Context())
		for _, e := range es {
			addrs = append(addrs, e.Addr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// notices waits until the status has notices of exactly these kinds, and
// returns what they say.
func notices(t *testing.T, r *rig.Rig, kinds ...string) (text string) {
	t.Helper()
	scene.Eventually(t, fmt.Sprintf("notices %q", kinds), func() string {
		found := scene.StatusOf(t, r).Notices
		var have []string
		text = ""
		for _, n := range found {
			have = append(have, n.Kind)
			text += n.What + ": " + n.Effect + " → " + n.Advice + "\n"
		}
		if !slices.Equal(have, kinds) {
			return "there are: " + text
		}
		return ""
	})
	return text
}

func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not said: %s", p, text)
		}
	}
}

// TestForeignEndpoints: endpoints of another program are said once, and stay,
// under either path manager; those that come later as well.
func TestForeignEndpoints(t *testing.T) {
	t.Parallel()
	for manager, effect := range map[string]string{"kernel": "mpproxy's as well", "userspace": "its own connections do not use them"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			edit := scene.With(fmt.Sprintf("path_manager = %q", manager))
			var first netip.Addr
			r := scene.Start(t, rig.Config{
				Links: scene.ClientLinks(), EditClient: edit, EditServer: edit,
				Prepare: func(ctx context.Context, topo *netns.Topology) error {
					first = topo.Links[1].Client4
					return addEndpoint(ctx, topo.Client, mptcppm.Endpoint{Addr: first, Flags: mptcppm.FlagSubflow | mptcppm.FlagFullmesh})
				},
			})
			says(t, notices(t, r, "endpoints"), first.String()+" id 1 [subflow,fullmesh]", "leaves them alone", effect, "ip mptcp endpoint delete id")
			text, err := r.StatusText(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			says(t, text, "Others on this host", first.String()+" id 1")
			scene.Works(t, r)

			second := netip.MustParseAddr("192.0.2.200")
			if err := addEndpoint(t.Context(), r.Client, mptcppm.Endpoint{Addr: second, Flags: mptcppm.FlagSignal}); err != nil {
				t.Fatal(err)
			}
			scene.Eventually(t, "the second endpoint in the status", func() string {
				if text := notices(t, r, "endpoints"); !strings.Contains(text, second.String()) {
					return text
				}
				return ""
			})
			if err := r.ClientDaemon.Stop(scene.Patient(t)); err != nil {
				t.Fatal(err)
			}
			if have := foreignAddrs(t, r.Client); !slices.Equal(have, []netip.Addr{first, second}) {
				t.Errorf("endpoints after the stop: %v, want the other program's %v and %v", have, first, second)
			}
			if n := strings.Count(r.ClientDaemon.Output(), `msg="MPTCP endpoints of another program`); n != 2 {
				t.Errorf("said %d times, want once for each change", n)
			}
		})
	}
}

// TestAnotherPathManager: where another program was the path manager in user
// space already, mpproxy says so, decides about its own connections only, and
// leaves everything as it was when it stops.
func TestAnotherPathManager(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(scene.ClientLinks())
	cfg.NoClient = true
	r := scene.Start(t, cfg)
	if err := r.Client.SetSysctl(t.Context(), "net.mptcp.pm_type", "1"); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.Client.Start(t.Context(), netns.Spec{Path: exe, Env: []string{scene.EnvHelper + "=" + scene.HelperListen}})
	if err != nil {
		t.Fatal(err)
	}
	scene.Saw(t, other, "listening")
	if err := r.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.StartClient(t.Context()); err != nil {
		t.Fatal(err)
	}
	scene.Steers(t, scene.StatusOf(t, r))
	says(t, notices(t, r, "decider"), "in user space already", fmt.Sprintf("(process %d)", other.Pid()), "its own connections only", `path_manager = "kernel"`)
	if err := addEndpoint(t.Context(), r.Client, mptcppm.Endpoint{Addr: r.Links[1].Client4, Flags: mptcppm.FlagSubflow}); err != nil {
		t.Fatal(err)
	}
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
	d.Gate.Wait(t)
	scene.GainsSubflow(t, r, "lte0") // ours has both
	conn := foreignConnection(t, r)
	d.Finish(t)
	notices(t, r, "decider", "endpoints") // ten seconds at the most, and the other's connection had them
	if fs, err := conn.Subflows(); err != nil || len(fs) != 1 {
		t.Errorf("another program's connection: %v, %v, want it left alone", fs, err)
	}
	if err := r.ClientDaemon.Stop(scene.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Client.Sysctl(t.Context(), "net.mptcp.pm_type"); err != nil || v != "1" {
		t.Errorf("path manager after the stop: %q, %v", v, err)
	}
}

// foreignConnection makes an MPTCP connection that is not ours and can take
// further subflows.
func foreignConnection(t *testing.T, r *rig.Rig) *mptcpsock.Conn {
	t.Helper()
	var conn *mptcpsock.Conn
	err := r.Client.Do(t.Context(), func() (err error) {
		d := mptcpsock.Dialer{Strict: true}
		conn, err = d.Dial(t.Context(), netip.AddrPortFrom(r.Concentrator4, rig.Port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte{0x16, 3, 1}); err != nil { // data makes it fully established
		t.Fatal(err)
	}
	return conn
}

// TestPathManagerTakenAway: somebody gives it back to the kernel while mpproxy
// steers.
func TestPathManagerTakenAway(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, scene.Steered(scene.ClientLinks()))
	scene.Steers(t, scene.StatusOf(t, r))
	notices(t, r)
	if err := r.Client.SetSysctl(t.Context(), "net.mptcp.pm_type", "0"); err != nil {
		t.Fatal(err)
	}
	says(t, notices(t, r, "path-manager"), "given the path manager back to the kernel", "connections that begin now")
	scene.Eventually(t, "the path manager taken again", func() string {
		if v, err := r.Client.Sysctl(t.Context(), "net.mptcp.pm_type"); err != nil || v != "1" {
			return fmt.Sprintf("net.mptcp.pm_type is %q, %v", v, err)
		}
		return ""
	})
	scene.Works(t, r)
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
	d.Gate.Wait(t)
	scene.GainsSubflow(t, r, "lte0")
	d.Finish(t)
}

// TestStrictReversePathFilter: with source routing rp_filter=1 costs no path,
// and the status says why that is so.
func TestStrictReversePathFilter(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(rig.DSLAndLTE())
	cfg.Prepare = func(ctx context.Context, topo *netns.Topology) error {
		for _, name := range []string{"all", "dsl0", "lte0"} {
			if err := topo.Client.SetSysctl(ctx, "net.ipv4.conf."+name+".rp_filter", "1"); err != nil {
				return err
			}
		}
		return nil
	}
	r := scene.Start(t, cfg)
	says(t, notices(t, r, "rp-filter"), "rp_filter=1 (strict) on lte0", "no harm", "net.ipv4.conf.lte0.rp_filter=2")
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
	d.Gate.Wait(t)
	fs := scene.StatusOf(t, r).Connections[0].Subflows
	if !slices.ContainsFunc(fs, func(f status.Subflow) bool { return f.Path == "lte0" && !f.Backup && f.ReceivedBytes > 0 }) {
		t.Errorf("no data on lte0: %+v", fs)
	}
	d.Finish(t)
	if i := slices.IndexFunc(scene.StatusOf(t, r).Paths, func(p status.Path) bool { return p.Warning != "" }); i >= 0 {
		t.Error("a warning although all is well")
	}
}

// TestSteeringServesOthers: a program that is not ours gets the subflows that
// the kernel's path manager would have made of the configured endpoints.
func TestSteeringServesOthers(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, scene.Steered(scene.ClientLinks()))
	var conn *mptcpsock.Conn
	err := r.Client.Do(t.Context(), func() (err error) {
		pm, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		defer pm.Close()
		err = pm.AddEndpoint(t.Context(), mptcppm.Endpoint{ID: 7, Addr: r.Links[1].Client4, Flags: mptcppm.FlagSubflow})
		if err != nil {
			return err
		}
		d := mptcpsock.Dialer{Strict: true}
		conn, err = d.Dial(t.Context(), netip.AddrPortFrom(r.Concentrator4, rig.Port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A connection takes further subflows once data was acknowledged.
	if _, err := conn.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	scene.Eventually(t, "second subflow", func() string {
		fs, err := conn.Subflows()
		if err != nil {
			return err.Error()
		}
		for _, f := range fs {
			if f.Local.Addr() == r.Links[1].Client4 {
				return ""
			}
		}
		return fmt.Sprintf("only %v", fs)
	})
}
