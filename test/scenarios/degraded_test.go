package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

const someMegabytes = 3_000_000

// mptcpOff switches MPTCP off in a host.
func mptcpOff(host func(*netns.Topology) *netns.Host) func(context.Context, *netns.Topology) error {
	return func(ctx context.Context, topo *netns.Topology) error {
		return host(topo).SetSysctl(ctx, "net.mptcp.enabled", "0")
	}
}

func clientHost(t *netns.Topology) *netns.Host       { return t.Client }
func concentratorHost(t *netns.Topology) *netns.Host { return t.Concentrator }

// missing wants the status to say that something is missing, what to do about
// it, and to say both to people, too.
func missing(t *testing.T, st status.Status, text, what, advice string) {
	t.Helper()
	i := slices.IndexFunc(st.Missing, func(m status.Missing) bool { return m.What == what })
	if i < 0 {
		t.Errorf("the status does not say that %s is missing: %+v", what, st.Missing)
		return
	}
	m := st.Missing[i]
	if !strings.Contains(m.Advice, advice) || m.Effect == "" {
		t.Errorf("%s: effect %q, advice %q: want %q in it", what, m.Effect, m.Advice, advice)
	}
	if !strings.Contains(text, m.What+": "+m.Effect) || !strings.Contains(text, m.Advice) {
		t.Errorf("the status for people does not say it:\n%s", text)
	}
}

func textOf(t *testing.T, r *rig.Rig) string {
	t.Helper()
	text, err := r.StatusText(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// during transfers both ways, returns the status in the middle, and checks that
// everything arrives.
func during(t *testing.T, r *rig.Rig) status.Status {
	t.Helper()
	d := startDownload(t, r, newGate(t, someMegabytes/2), someMegabytes)
	d.gate.wait(t)
	st := statusOf(t, r)
	d.finish(t)
	startUpload(t, r, newGate(t), someMegabytes).finish(t)
	if len(st.Connections) != 1 {
		t.Fatalf("connections: %+v", st.Connections)
	}
	return st
}

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
			r := start(t, rig.Config{Links: clientLinks(), Prepare: mptcpOff(tt.host)})
			st := during(t, r)
			c := st.Connections[0]
			if c.Protocol != "tcp" || c.FellBack == "" || st.Totals.FellBack == 0 {
				t.Errorf("never a silent fall-back: protocol %q, fell back because %q, %d counted", c.Protocol, c.FellBack, st.Totals.FellBack)
			}
			text := textOf(t, r)
			missing(t, st, text, tt.what, tt.advice)
			if !strings.Contains(text, "plain TCP") {
				t.Errorf("status:\n%s", text)
			}
			line := saw(t, r.ClientDaemon, "is plain TCP")
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
			r := start(t, rig.Config{
				Links: clientLinks(), EditClient: with("require_mptcp = true"), Prepare: mptcpOff(tt.host),
			})
			if _, reply := ask(t, r, credentials{}, cmdConnect, "dest.example", 7); reply != repGeneralFailure {
				t.Errorf("reply %d, want %d", reply, repGeneralFailure)
			}
			line := saw(t, r.ClientDaemon, "cannot use the concentrator: no MPTCP")
			if !strings.Contains(line, "require_mptcp = false") {
				t.Errorf("the log does not say what to do: %s", line)
			}
			st := statusOf(t, r)
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
	r := start(t, rig.Config{Links: clientLinks()[:1]})
	st := during(t, r)
	if c := st.Connections[0]; c.Protocol != "mptcp" || len(c.Subflows) != 1 || c.Subflows[0].Path != "dsl0" {
		t.Errorf("connection: %+v", c)
	}
	missing(t, st, textOf(t, r), "a second path", "connect a second way")
}

// TestWithoutNetAdmin: as root of a container and as an ordinary user. The
// first subflow starts on either path; which, is chosen by binding the socket.
func TestWithoutNetAdmin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		restrictions []string
	}{
		{"root of a container", []string{restrictNetAdmin}},
		{"ordinary user", []string{restrictUser + otherUser}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, rig.Config{Links: clientLinks(), NoClient: true})
			if tt.restrictions[0] != restrictNetAdmin && !hasOtherUsers(t) {
				t.Skip("the user namespace of these tests has no user but root")
			}
			runConfined(t, r, tt.restrictions)
			works(t, r)
			st := statusOf(t, r)
			text := textOf(t, r)
			if st.PathManager.Active || st.PathManager.SourceRouting {
				t.Errorf("path manager: %+v; this says nothing about a program without the capability", st.PathManager)
			}
			if len(st.Paths) != 2 || st.Paths[0].State != "up" || st.Paths[1].State != "up" {
				t.Errorf("paths: %+v", st.Paths)
			}
			missing(t, st, text, "CAP_NET_ADMIN", "setcap cap_net_admin")
			missing(t, st, text, "source routing", "CAP_NET_ADMIN")
			missing(t, st, text, "rules and modes", "CAP_NET_ADMIN")
			if n := strings.Count(r.ClientDaemon.Output(), "cannot be the path manager"); n != 1 {
				t.Errorf("the log says %d times that mpproxy cannot be the path manager", n)
			}
			d := during(t, r)
			if c := d.Connections[0]; c.Protocol != "mptcp" || len(c.Subflows) == 0 {
				t.Errorf("connection: %+v", c)
			}
			if err := r.ClientDaemon.Stop(patient(t)); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}

// otherUser is an ordinary user id that all systems have: nobody's.
const otherUser = "65534"

// hasOtherUsers is false in a user namespace where only root is mapped.
func hasOtherUsers(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map") // user_namespaces(7): inside, outside, length
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	return len(f) != 3 || f[2] != "1"
}

// runConfined starts the client with fewer rights and with its own
// configuration and socket.
func runConfined(t *testing.T, r *rig.Rig, restrictions []string) {
	t.Helper()
	if err := r.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The programs' directory and this one are in a directory that others may
	// enter; the host's own is not.
	dir, err := os.MkdirTemp("", "mpproxy-confined-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(r.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	change := with(`admin.socket = "` + socket + `"`)
	config := filepath.Join(dir, "client.toml")
	for _, file := range []string{config, r.ClientConfig()} {
		if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(restrictions, restrictUser+otherUser) {
		for _, file := range []string{dir, config} {
			if err := os.Chown(file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	path, args, env, err := confined(restrictions, r.ClientBinary(), "run", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "XDG_RUNTIME_DIR="+dir)
	r.ClientDaemon, err = r.Client.Start(t.Context(), netns.Spec{Path: path, Args: args, Env: env, Name: "mpproxy-client"})
	if err != nil {
		t.Fatal(err)
	}
	saw(t, r.ClientDaemon, "msg=ready")
}
