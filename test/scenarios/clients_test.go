package scenarios

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/proxy"

	"mpproxy/config"
	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

// clientLinks are quick, with a delay that keeps subflows apart.
func clientLinks() []netns.LinkConfig { return rig.Pair(200, 2, 100, 4) }

func TestCurl(t *testing.T) {
	t.Parallel()
	path := need(t, "curl")
	r := start(t, rig.Config{Links: clientLinks(), EditServer: with(`log.level = "debug"`)})
	fetch := func(t *testing.T, args ...string) {
		t.Helper()
		s := newSink(newGate(t))
		cmd := r.Client.Command(t.Context(), path, append([]string{"-sS", "--fail"}, args...)...)
		cmd.Stdout = s
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		s.check(t, 100_000)
	}
	name, four, six := "http://dest.example/bytes/100K", "http://203.0.113.129/bytes/100K", "http://[2001:db8:101::2]/bytes/100K"

	t.Run("--socks5", func(t *testing.T) {
		fetch(t, "--socks5", rig.Socks, name) // resolved by curl
		fetch(t, "--socks5", rig.Socks, four)
		fetch(t, "--socks5", rig.Socks, six)
	})
	t.Run("--socks5-hostname", func(t *testing.T) {
		fetch(t, "--socks5-hostname", rig.Socks, name)
		saw(t, r.Server, "destination=dest.example:80") // resolved by the concentrator
	})
	t.Run("mode as user name", func(t *testing.T) {
		g := newGate(t, 1)
		d := startDownload(t, r, g, 100_000, "--proxy", "socks5h://interactive@"+rig.Socks)
		g.wait(t)
		st := statusOf(t, r)
		if len(st.Connections) != 1 || st.Connections[0].Mode != "interactive" {
			t.Errorf("status: want one connection of mode interactive: %+v", st.Connections)
		}
		saw(t, r.Server, "destination=dest.example:80 mode=interactive")
		d.finish(t)
		line := saw(t, r.ClientDaemon, "mode=interactive")
		if !strings.Contains(line, "connection closed") {
			t.Errorf("the client's first line with the mode is %q", line)
		}
	})
	t.Run("upload", func(t *testing.T) {
		startUpload(t, r, newGate(t), 1_000_000).finish(t)
	})
}

// Without TLS any SOCKS5 client is a client of the concentrator.
func TestCurlStraightToConcentrator(t *testing.T) {
	t.Parallel()
	path := need(t, "curl")
	r := start(t, rig.Config{Security: "none", NoClient: true})
	link, err := config.ParseLink(r.Link)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(userinfo string) error {
		s := newSink(newGate(t))
		cmd := r.Client.Command(t.Context(), path, "-sS", "--fail", "--proxy",
			fmt.Sprintf("socks5h://%s@203.0.113.1:%d", userinfo, rig.Port), "http://dest.example/bytes/1M")
		cmd.Stdout = s
		err := cmd.Run()
		if err == nil {
			s.check(t, 1_000_000)
		}
		return err
	}
	token := link.Token.Reveal()
	for _, userinfo := range []string{"alice:" + token, "alice%2Bhandover:" + token} {
		if err := fetch(userinfo); err != nil {
			t.Error(err)
		}
	}
	saw(t, r.Server, "mode=handover")
	for _, userinfo := range []string{"alice:x" + token, "bob:" + token, "alice%2Bnonsense:" + token} {
		if err := fetch(userinfo); err == nil {
			t.Errorf("the concentrator let %s pass", strings.ReplaceAll(userinfo, token, "TOKEN"))
		}
	}
	if strings.Contains(r.Server.Output(), token) {
		t.Error("the token is in the concentrator's log")
	}
}

func TestGoSocksClient(t *testing.T) {
	t.Parallel()
	r := start(t, rig.Config{Links: clientLinks()})
	for _, auth := range []*proxy.Auth{nil, {User: "lazy"}} {
		d, err := proxy.SOCKS5("tcp", rig.Socks, auth, r.Client)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"dest.example:7", "203.0.113.129:7", "[2001:db8:101::2]:7"} {
			c, err := d.(proxy.ContextDialer).DialContext(patient(t), "tcp", to)
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
			echo(t, c)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestGitClone(t *testing.T) {
	t.Parallel()
	git := need(t, "git")
	r := start(t, rig.Config{Links: clientLinks()})
	repo := newRepository(t, git)
	served := serveGit(t, r.Destination, git, filepath.Dir(repo))

	clone := filepath.Join(t.TempDir(), "clone")
	cmd := r.Client.Command(patient(t), git, "-c", "http.proxy=socks5h://"+rig.Socks,
		"clone", "-q", fmt.Sprintf("http://dest.example:%d/%s", served, filepath.Base(repo)), clone)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(clone, "content"))
	if want, _ := io.ReadAll(apps.NewContent(3_000_000)); err != nil || string(got) != string(want) {
		t.Errorf("the cloned file has %d bytes, %v; want the %d that were committed", len(got), err, len(want))
	}
	if out, err := r.Client.Command(patient(t), git, "-C", clone, "fsck", "--strict").CombinedOutput(); err != nil {
		t.Errorf("git fsck: %v\n%s", err, out)
	}
	saw(t, r.ClientDaemon, fmt.Sprintf("destination=dest.example:%d", served))
}

// newRepository makes a bare repository with one commit.
func newRepository(t *testing.T, git string) string {
	t.Helper()
	dir := t.TempDir()
	work, bare := filepath.Join(dir, "work"), filepath.Join(dir, "repo.git")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(apps.NewContent(3_000_000))
	if err := os.WriteFile(filepath.Join(work, "content"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	host := localHost(t)
	for _, args := range [][]string{
		{"init", "-q", work},
		{"-C", work, "add", "content"},
		{"-C", work, "-c", "user.name=A", "-c", "user.email=a@example.net", "commit", "-q", "-m", "Add content"},
		{"clone", "-q", "--bare", work, bare},
	} {
		if out, err := host.Command(t.Context(), git, args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return bare
}

// localHost is a host without any network, for commands that need none: it
// keeps them away from the configuration of who runs the tests.
func localHost(t *testing.T) *netns.Host {
	t.Helper()
	h, err := netns.NewHost(t.Context(), netns.HostConfig{Name: "local"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// serveGit serves the repositories in a directory as git's own server does.
func serveGit(t *testing.T, h *netns.Host, git, dir string) (port int) {
	t.Helper()
	return serveHTTP(t, h, &cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env:    []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: testWriter{t},
	})
}

// serveHTTP serves in a host, on any port.
func serveHTTP(t *testing.T, h apps.Host, handler http.Handler) (port int) {
	t.Helper()
	l, err := apps.Listen(t.Context(), h, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go serveUntilClosed(s, l, done)
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

func serveUntilClosed(s *http.Server, l net.Listener, done chan<- error) { done <- s.Serve(l) }

// testWriter shows what is written to it in the test's log.
type testWriter struct{ t *testing.T }

// Write implements io.Writer.
func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}
