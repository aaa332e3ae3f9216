package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestGitClone(t *testing.T) {
	t.Parallel()
	git := scene.Need(t, "git")
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()})
	repo := newRepository(t, git)
	served := serveGit(t, r.Destination, git, filepath.Dir(repo))

	clone := filepath.Join(t.TempDir(), "clone")
	cmd := r.Client.Command(scene.Patient(t), git, "-c", "http.proxy=socks5h://"+rig.Socks,
		"clone", "-q", fmt.Sprintf("http://dest.example:%d/%s", served, filepath.Base(repo)), clone)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(clone, "content"))
	if want, _ := io.ReadAll(apps.NewContent(3_000_000)); err != nil || string(got) != string(want) {
		t.Errorf("the cloned file has %d bytes, %v; want the %d that were committed", len(got), err, len(want))
	}
	if out, err := r.Client.Command(scene.Patient(t), git, "-C", clone, "fsck", "--strict").CombinedOutput(); err != nil {
		t.Errorf("git fsck: %v\n%s", err, out)
	}
	scene.Saw(t, r.ClientDaemon, fmt.Sprintf("destination=dest.example:%d", served))
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
	host := scene.LocalHost(t)
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
