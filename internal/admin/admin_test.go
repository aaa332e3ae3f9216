package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mpproxy/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(socket string) Target { return Target{"mpproxy-client", socket} }

// serve runs a server until the test ends, and checks that it ends well.
func serve(t *testing.T, cfg Config) string {
	t.Helper()
	if cfg.Socket == "" {
		cfg.Socket = socketPath(t)
	}
	stop := start(t, cfg)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v after a stop, want nil", err)
		}
		if _, err := os.Lstat(cfg.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return cfg.Socket
}

// start runs a server until the returned function is called.
func start(t *testing.T, cfg Config) (stop func() error) {
	t.Helper()
	cfg.Program = "mpproxy-client"
	return startTask(t, NewServer(cfg))
}

// socketPath is short enough for a Unix socket, which t.TempDir may not be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "client.sock")
}

func fixed(st status.Status) func(context.Context) (status.Status, error) {
	return func(context.Context) (status.Status, error) { return st, nil }
}

func get(t *testing.T, socket, path string) (code int, body string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get("http://mpproxy" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestStatusComesAsItIs(t *testing.T) {
	want := status.Status{
		Version: "v1", Taken: time.Unix(1, 0).UTC(), Started: time.Unix(0, 0).UTC(), Mode: "aggregate",
		Paths:       []status.Path{{Name: "wifi", Interface: "wlan0", ReceivedBytes: 7, Addresses: []string{"192.0.2.1"}}},
		Connections: []status.Connection{}, Missing: []status.Missing{{What: "a", Effect: "b", Advice: "c"}},
		Socks: []string{"127.0.0.1:1080"},
	}
	socket := serve(t, Config{Status: fixed(want)})
	got, err := client(socket).Status(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestRatesAreMeasured(t *testing.T) {
	taken := time.Unix(1000, 0)
	var calls atomic.Uint64
	socket := serve(t, Config{Status: func(context.Context) (status.Status, error) {
		n := calls.Add(1)
		return status.Status{Taken: taken.Add(time.Duration(n) * 2 * time.Second), Paths: []status.Path{
			{Interface: "wlan0", ReceivedBytes: n * 1000, SentBytes: n * 500},
		}}, nil
	}})
	st, err := client(socket).Status(t.Context(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// One step of the snapshots: 1000 and 500 bytes in 2 s.
	if p := st.Paths[0]; p.ReceiveRate != 4000 || p.SendRate != 2000 || calls.Load() != 2 {
		t.Errorf("rates %d and %d bit/s from %d snapshots, want 4000 and 2000 from 2", p.ReceiveRate, p.SendRate, calls.Load())
	}
}

func TestRequests(t *testing.T) {
	socket := serve(t, Config{Status: fixed(status.Status{Version: "v1"})})
	for _, tt := range []struct {
		path string
		code int
		body string
	}{
		{"/v1/status", 200, `"version":"v1"`},
		{"/v1/status?interval=0s", 200, `"version":"v1"`},
		{"/v1/status?interval=1ms", 200, `"version":"v1"`},
		{"/v1/status?interval=", 400, "0s to 5s"},
		{"/v1/status?interval=soon", 400, "0s to 5s"},
		{"/v1/status?interval=-1s", 400, "0s to 5s"},
		{"/v1/status?interval=5.001s", 400, "0s to 5s"},
		{"/v1/statu", 404, ""},
		{"/", 404, ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			code, body := get(t, socket, tt.path)
			if code != tt.code || !strings.Contains(body, tt.body) {
				t.Errorf("answer %d %q, want %d with %q", code, body, tt.code, tt.body)
			}
			if code == 200 && !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %q", body)
			}
		})
	}
}

func TestFailureIsTold(t *testing.T) {
	socket := serve(t, Config{Status: func(context.Context) (status.Status, error) {
		return status.Status{}, errors.New("no netlink today")
	}})
	_, err := client(socket).Status(t.Context(), 0)
	if err == nil || !strings.Contains(err.Error(), "no netlink today") {
		t.Errorf("Status = %v, want the client's reason in it", err)
	}
}

func TestOnlyTheOwnerMayConnect(t *testing.T) {
	old := syscall.Umask(0) // nothing but the server's own care is left
	defer syscall.Umask(old)
	socket := serve(t, Config{Status: fixed(status.Status{})})
	for path, want := range map[string]fs.FileMode{
		socket:               fs.ModeSocket | 0o600,
		filepath.Dir(socket): fs.ModeDir | 0o700,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(path), info.Mode(), want)
		}
	}
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	path := socketPath(t)
	abandon(t, path)
	socket := serve(t, Config{Socket: path, Status: fixed(status.Status{Version: "new"})})
	st, err := client(socket).Status(t.Context(), 0)
	if err != nil || st.Version != "new" {
		t.Errorf("Status = %q, %v; want the new server's", st.Version, err)
	}
}

// abandon leaves a socket as a crash does.
func abandon(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLiveSocketIsRefused(t *testing.T) {
	socket := serve(t, Config{Status: fixed(status.Status{Version: "first"})})
	err := NewServer(Config{Program: "mpproxy-client", Socket: socket, Status: fixed(status.Status{})}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another mpproxy-client is running") {
		t.Errorf("Run = %v, want to hear of the other client", err)
	}
	st, err := client(socket).Status(t.Context(), 0)
	if err != nil || st.Version != "first" {
		t.Errorf("Status = %q, %v; want the first server to go on", st.Version, err)
	}
}

// TestBusySocketIsRefused: a listener whose queue is full does not take
// connections, and is alive.
func TestBusySocketIsRefused(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	err = NewServer(Config{Program: "mpproxy-client", Socket: path, Status: fixed(status.Status{})}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another mpproxy-client is running") {
		t.Errorf("Run = %v, want to hear of the other client", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other client's socket is gone: %v", err)
	}
}

func TestNothingElseIsRemoved(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := NewServer(Config{Program: "mpproxy-client", Socket: path, Status: fixed(status.Status{})}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "[admin] socket") {
		t.Errorf("Run = %v, want advice about [admin] socket", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file in the socket's place holds %q, %v", b, err)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := NewServer(Config{Program: "mpproxy-client", Socket: filepath.Join(file, "client.sock"), Status: fixed(status.Status{})}).Run(t.Context())
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "[admin] socket") {
		t.Errorf("Run = %v, want the reason and advice", err)
	}
}

func TestNobodyThere(t *testing.T) {
	stale := socketPath(t)
	abandon(t, stale)
	for name, socket := range map[string]string{"no socket": socketPath(t), "stale socket": stale} {
		t.Run(name, func(t *testing.T) {
			_, err := client(socket).Status(t.Context(), 0)
			if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), socket) {
				t.Errorf("Status = %v, want ErrNotRunning and the socket's path", err)
			}
		})
	}
}

func TestNotAClient(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })}
	done := make(chan error, 1)
	go serveHTTP(srv, l, done)
	defer func() { _ = srv.Close(); <-done }()
	if _, err := client(path).Status(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "reading the status") {
		t.Errorf("Status = %v, want to hear that the answer is no status", err)
	}
}

func serveHTTP(srv *http.Server, l net.Listener, done chan<- error) { done <- srv.Serve(l) }

// TestStopWithSilentPeer: whoever connects and asks for nothing does not make
// the end of the program a failure.
func TestStopWithSilentPeer(t *testing.T) {
	socket := socketPath(t)
	stop := start(t, Config{Socket: socket, Status: fixed(status.Status{})})
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := client(socket).Status(t.Context(), 0); err != nil { // c has been accepted by now
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// TestStopEndsMeasuring: a request that waits for its interval does not hold
// the program up.
func TestStopEndsMeasuring(t *testing.T) {
	socket := socketPath(t)
	measuring := make(chan struct{}, 2)
	stop := start(t, Config{Socket: socket, Status: func(context.Context) (status.Status, error) {
		measuring <- struct{}{}
		return status.Status{}, nil
	}})
	asked := make(chan error, 1)
	go ask(t.Context(), socket, asked)
	<-measuring
	if err := stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if err := <-asked; err == nil {
		t.Error("Status succeeded although the client stopped meanwhile")
	}
}

func ask(ctx context.Context, socket string, done chan<- error) {
	_, err := client(socket).Status(ctx, maxInterval)
	done <- err
}
