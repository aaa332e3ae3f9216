package mistakes

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/scenarios/scene"
)

// A mistake of a user, and what the program must say about it. FILE in the
// arguments is the file with the text, DIR its directory.
type mistake struct {
	name    string
	program string
	args    []string
	stdin   string
	text    string
	want    []string
}

const goodLink = "mpproxy://alice:token@192.0.2.1:8443?pin=7_rmvo7PMa96QRxgkEoAmbOS-io4HCYnPmum67sQ3j0"

var mistakes = []mistake{
	{
		name: "misspelt key", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "mode = \"lazy\"\n[limits]\nmax_conections = 5\n",
		want: []string{":3:", "limits.max_conections", `did you mean "max_connections"`},
	},
	{
		name: "misspelt table, at the start", program: "mpproxy-client", args: []string{"run", "--config", "FILE"},
		text: "link = \"" + goodLink + "\"\n\n[limit]\n",
		want: []string{":3:", `did you mean "limits"`},
	},
	{
		name: "key of the other program", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "token_key = \"x\"\n", want: []string{":1:", "mpproxy-server"},
	},
	{
		name: "misspelt key, server", program: "mpproxy-server", args: []string{"run", "--config", "FILE"},
		text: "[limits]\nhandshake_timout = \"1s\"\n",
		want: []string{":2:", `did you mean "handshake_timeout"`},
	},
	{
		name: "several mistakes at once", program: "mpproxy-server", args: []string{"check-config", "FILE"},
		text: "securty = \"tls\"\nmode = \"agregate\"\n",
		want: []string{":1:", `did you mean "security"`, ":2:", `did you mean "aggregate"`},
	},
	{
		name: "bad rule", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "[[rule]]\nprots = [22]\nmode = \"handovr\"\n\n[[rule]]\nports = [\"90-80\"]\npaths = [\"lte\"]\n[[path]]\ninterface = \"lte0\"\n",
		want: []string{":2: rule.prots", `did you mean "ports"`, ":3: rule.mode", `did you mean "handover"`, ":6: rule.ports", "the lower one first", ":7: rule.paths", `did you mean "lte0"`},
	},
	{
		name: "bad mode, at the start", program: "mpproxy-client", args: []string{"run", "--config", "FILE"},
		text: "[modes.calls]\nbase = \"interctive\"\n[modes.handover]\nrto_treshold = \"1s\"\nrto_threshold = \"1ms\"\n",
		want: []string{":2: modes.calls.base", `did you mean "interactive"`, ":4: modes.handover.rto_treshold", `did you mean "rto_threshold"`, ":5:", "use 100ms to 2m"},
	},
	{
		name: "number of the client", program: "mpproxy-server", args: []string{"check-config", "FILE"},
		text: "[modes.lazy]\nlazy_bytes = \"2MB\"\n", want: []string{":2: modes.lazy.lazy_bytes", "mpproxy-client"},
	},
	{
		name: "rule whose path a flag took away", program: "mpproxy-client", args: []string{"run", "--config", "FILE", "--path", "eth7"},
		text: "link = \"" + goodLink + "\"\n[[rule]]\nname = \"tv\"\npaths = [\"lte0\"]\n",
		want: []string{"rule.paths: tv", `no path "lte0"`, `"eth7"`},
	},
	{
		name: "no TOML", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "mode = \"lazy\"\nlisten = [\n", want: []string{"not valid TOML"},
	},
	{
		name: "wrong type", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "require_mptcp = \"yes\"\n", want: []string{":1:", "require_mptcp", "true or false"},
	},

	{
		name: "impossible number", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "[limits]\nmax_connections = -5\n", want: []string{":2:", "-5", "allowed is 0 to"},
	},
	{
		name: "impossible duration", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "[limits]\nconnect_timeout = \"-1s\"\n", want: []string{":2:", "-1s", "allowed is 100ms to 10m"},
	},
	{
		name: "duration without unit", program: "mpproxy-server", args: []string{"check-config", "FILE"},
		text: "[limits]\ndrain_timeout = \"30\"\n", want: []string{":2:", "not a duration", "allowed is"},
	},
	{
		name: "impossible port", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "[socks]\nlisten = [\"127.0.0.1:99999\"]\n", want: []string{":2:", "99999"},
	},
	{
		name: "open relay", program: "mpproxy-client", args: []string{"check-config", "FILE"},
		text: "[socks]\nlisten = [\"0.0.0.0:1080\"]\n", want: []string{":2:", "open to other hosts", "allow_open"},
	},
	{
		name: "unknown mode", program: "mpproxy-client", args: []string{"run", "--link", goodLink, "--mode", "agregate"},
		want: []string{"--mode", "aggregate"},
	},
	{
		name: "path that matches nothing", program: "mpproxy-client", args: []string{"run", "--link", goodLink, "--path", "an/interface"},
		want: []string{"--path", "cannot match an interface"},
	},

	{
		name: "no link", program: "mpproxy-client", args: []string{"run", "--config", "FILE"},
		want: []string{"link", "mpproxy-client join"},
	},
	{
		name: "no file", program: "mpproxy-client", args: []string{"run", "--config", "DIR/none.toml"},
		want: []string{"none.toml", "check the path"},
	},
	{
		name: "bad base64 in the link", program: "mpproxy-client",
		args: []string{"run", "--link", strings.Replace(goodLink, "7_rmvo", "7_r!vo", 1)}, want: []string{"pin", "base64url"},
	},
	{
		name: "bad base64 in a pasted link", program: "mpproxy-client", args: []string{"join", "--config", "DIR/new.toml"},
		stdin: strings.Replace(goodLink, "7_rmvo", "7_r!vo", 1), want: []string{"pin", "base64url"},
	},
	{
		name: "link cut off", program: "mpproxy-client", args: []string{"join", "--config", "DIR/new.toml"},
		stdin: goodLink[:len(goodLink)-5], want: []string{"pin", "cut off"},
	},
	{
		name: "no link at all", program: "mpproxy-client", args: []string{"join", "--config", "DIR/new.toml"},
		stdin: "hello\n", want: []string{"mpproxy://"},
	},
	{
		name: "join over an existing file", program: "mpproxy-client", args: []string{"join", "--config", "FILE"},
		stdin: goodLink, want: []string{"exists already"},
	},
	{
		name: "status of nobody", program: "mpproxy-client", args: []string{"status", "--config", "FILE"},
		want: []string{"no mpproxy-client is running", "mpproxy-client run"},
	},
	{name: "unknown flag", program: "mpproxy-client", args: []string{"run", "--lnik", goodLink}, want: []string{"--lnik"}},
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	host := scene.LocalHost(t)
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config.toml")
			if err := os.WriteFile(file, []byte(m.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var args []string
			for _, a := range m.args {
				args = append(args, strings.NewReplacer("FILE", file, "DIR", dir).Replace(a))
			}
			complains(t, host, m.stdin, m.want, filepath.Join(scene.Programs, m.program), args...)
			if _, err := os.Lstat(filepath.Join(dir, "new.toml")); err == nil {
				t.Error("a configuration was written")
			}
		})
	}
}

// complains wants a program to end by itself, with a status that is not zero
// and with these words, and without a panic.
func complains(t *testing.T, h *netns.Host, stdin string, want []string, program string, args ...string) {
	t.Helper()
	cmd := h.Command(scene.Patient(t), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Errorf("%v, want a status that is not zero", err)
	}
	for _, w := range want {
		if !bytes.Contains(out, []byte(w)) {
			t.Errorf("%q is not in the message:\n%s", w, out)
		}
	}
	if bytes.Contains(out, []byte("goroutine ")) {
		t.Errorf("it crashed:\n%s", out)
	}
}

// initServer makes the files of a server that listens on the loopback.
func initServer(t *testing.T, h *netns.Host) (config string) {
	t.Helper()
	// In a directory that other users may enter.
	dir, err := os.MkdirTemp("", "mpproxy-server-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	out, err := h.Command(t.Context(), filepath.Join(scene.Programs, "mpproxy-server"), "init", "--dir", dir,
		"--public", "127.0.0.1:8443", "--listen", "127.0.0.1:8443").CombinedOutput()
	if err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return filepath.Join(dir, "server.toml")
}

func TestMistakesWithServerFiles(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	host := scene.LocalHost(t)
	server := filepath.Join(scene.Programs, "mpproxy-server")
	for _, tt := range []struct {
		name  string
		spoil func(dir string) error
		want  []string
	}{
		{"no key file", func(dir string) error { return os.Remove(filepath.Join(dir, "server.key")) }, []string{"key", "server.key", "cannot read"}},
		{"key file is none", func(dir string) error { return os.WriteFile(filepath.Join(dir, "server.key"), []byte("x"), 0o600) }, []string{"server.key"}},
		{"key file is a directory", func(dir string) error {
			key := filepath.Join(dir, "server.key")
			return errors.Join(os.Remove(key), os.Mkdir(key, 0o700))
		}, []string{"server.key", "directory"}},
		{"no users file", func(dir string) error { return os.Remove(filepath.Join(dir, "users.toml")) }, []string{"users.toml", "cannot read"}},
		{"mistake in the users file", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "users.toml"), []byte("[[user]]\nnmae = \"x\"\n"), 0o600)
		}, []string{"users.toml:2", `did you mean "name"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := initServer(t, host)
			if err := tt.spoil(filepath.Dir(config)); err != nil {
				t.Fatal(err)
			}
			complains(t, host, "", tt.want, server, "run", "--config", config)
			complains(t, host, "", tt.want, server, "check-config", config)
		})
	}
	t.Run("key file of another user", func(t *testing.T) {
		if !scene.HasOtherUsers(t) {
			t.Skip("the user namespace of these tests has no user but root")
		}
		config := initServer(t, host)
		dir := filepath.Dir(config)
		for _, file := range []string{dir, config, filepath.Join(dir, "users.toml"), filepath.Join(dir, "server.crt")} {
			if err := os.Chown(file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		path, args, env, err := scene.Confined([]string{scene.RestrictUser + scene.OtherUser}, server, "run", "--config", config)
		if err != nil {
			t.Fatal(err)
		}
		cmd := host.Command(scene.Patient(t), path, args...)
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("server.key: permission denied for user id "+scene.OtherUser)) {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	host := scene.LocalHost(t)
	config := initServer(t, host)
	for _, port := range []string{"1080", "8443"} {
		l, err := apps.ListenAddr(t.Context(), host, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	complains(t, host, "", []string{"cannot listen on 127.0.0.1:1080", "another program"},
		filepath.Join(scene.Programs, "mpproxy-client"), "run", "--link", goodLink)
	complains(t, host, "", []string{"cannot listen on 127.0.0.1:8443", "another program"},
		filepath.Join(scene.Programs, "mpproxy-server"), "run", "--config", config)

	// A second client that has a port of its own, but not its socket.
	first, err := host.Start(t.Context(), netns.Spec{
		Path: filepath.Join(scene.Programs, "mpproxy-client"),
		Args: []string{"run", "--link", goodLink, "--socks", "127.0.0.1:1081"},
	})
	if err != nil {
		t.Fatal(err)
	}
	scene.Saw(t, first, "msg=ready")
	complains(t, host, "", []string{"another mpproxy-client is running"},
		filepath.Join(scene.Programs, "mpproxy-client"), "run", "--link", goodLink, "--socks", "127.0.0.1:1082")
	if err := first.Stop(scene.Patient(t)); err != nil {
		t.Errorf("the first client: %v", err)
	}
}
