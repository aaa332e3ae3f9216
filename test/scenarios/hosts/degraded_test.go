package hosts

import (
	"context"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// mptcpOff switches MPTCP off in a host.
func mptcpOff(host func(*netns.Topology) *netns.Host) func(context.Context, *netns.Topology) error {
	return func(ctx context.Context, topo *netns.Topology) error {
		return host(topo).SetSysctl(ctx, "net.mptcp.enabled", "0")
	}
}

func clientHost(t *netns.Topology) *netns.Host { return t.Client }

func concentratorHost(t *netns.Topology) *netns.Host { return t.Concentrator }

func TestWithoutMPTCP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		host   func(*netns.Topology) *netns.Host
		what   string
		advice string
	}{
		{"at the client", clientHost, "MPTCP", "sysctl -w net.mptcp.enabled=1"},
		{"at the concentrator", concentratorHost, "MPTCP to the server", "net.mptcp.enabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{Links: scene.ClientLinks(), Prepare: mptcpOff(tt.host)})
			st := scene.During(t, r)
			c := st.Connections[0]
			if c.Protocol != "tcp" || c.FellBack == "" || st.Totals.FellBack == 0 {
				t.Errorf("never a silent fall-back: protocol %q, fell back because %q, %d counted", c.Protocol, c.FellBack, st.Totals.FellBack)
			}
			text := scene.TextOf(t, r)
			scene.Missing(t, st, text, tt.what, tt.advice)
			if !strings.Contains(text, "plain TCP") {
				t.Errorf("status:\n%s", text)
			}
			line := scene.Saw(t, r.ClientDaemon, "is plain TCP")
			if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "path=dsl0") || !strings.Contains(line, "reason=") {
				t.Errorf("the log does not say where and why: %s", line)
			}
		})
	}
}

func TestRequireMPTCP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		host func(*netns.Topology) *netns.Host
	}{{"at the client", clientHost}, {"at the concentrator", concentratorHost}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{
				Links: scene.ClientLinks(), EditClient: scene.With("require_mptcp = true"), Prepare: mptcpOff(tt.host),
			})
			if _, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, "dest.example", 7); reply != scene.RepGeneralFailure {
				t.Errorf("reply %d, want %d", reply, scene.RepGeneralFailure)
			}
			line := scene.Saw(t, r.ClientDaemon, "cannot use the concentrator: no MPTCP")
			if !strings.Contains(line, "require_mptcp = false") {
				t.Errorf("the log does not say what to do: %s", line)
			}
			st := scene.StatusOf(t, r)
			if st.Server.State != "no MPTCP" || st.Server.Error == "" || st.Server.Advice == "" {
				t.Errorf("status: %+v", st.Server)
			}
			if strings.Contains(r.Server.Output(), "destination=dest.example:7") {
				t.Error("the destination was reached over plain TCP")
			}
		})
	}
}

func TestOneLink(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()[:1]})
	st := scene.During(t, r)
	if c := st.Connections[0]; c.Protocol != "mptcp" || len(c.Subflows) != 1 || c.Subflows[0].Path != "dsl0" {
		t.Errorf("connection: %+v", c)
	}
	scene.Missing(t, st, scene.TextOf(t, r), "a second path", "connect a second way")
}

// TestWithoutNetAdmin: as root of a container and as an ordinary user. The
// first subflow starts on either path; which, is chosen by binding the socket.
func TestWithoutNetAdmin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		restrictions []string
	}{
		{"root of a container", []string{scene.RestrictNetAdmin}},
		{"ordinary user", []string{scene.RestrictUser + scene.OtherUser}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{Links: scene.ClientLinks(), NoClient: true})
			if tt.restrictions[0] != scene.RestrictNetAdmin && !scene.HasOtherUsers(t) {
				t.Skip("the user namespace of these tests has no user but root")
			}
			scene.RunConfined(t, r, tt.restrictions)
			scene.Works(t, r)
			st := scene.StatusOf(t, r)
			text := scene.TextOf(t, r)
			if st.PathManager.Active || st.PathManager.SourceRouting {
				t.Errorf("path manager: %+v; this says nothing about a program without the capability", st.PathManager)
			}
			if len(st.Paths) != 2 || st.Paths[0].State != "up" || st.Paths[1].State != "up" {
				t.Errorf("paths: %+v", st.Paths)
			}
			scene.Missing(t, st, text, "CAP_NET_ADMIN", "setcap cap_net_admin")
			scene.Missing(t, st, text, "source routing", "CAP_NET_ADMIN")
			scene.Missing(t, st, text, "rules and modes", "CAP_NET_ADMIN")
			if n := strings.Count(r.ClientDaemon.Output(), "cannot be the path manager"); n != 1 {
				t.Errorf("the log says %d times that mpproxy cannot be the path manager", n)
			}
			d := scene.During(t, r)
			if c := d.Connections[0]; c.Protocol != "mptcp" || len(c.Subflows) == 0 {
				t.Errorf("connection: %+v", c)
			}
			if err := r.ClientDaemon.Stop(scene.Patient(t)); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}
