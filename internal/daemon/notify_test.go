package daemon

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSystemdIsTold poses as systemd (sd_notify(3)).
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)

	a, late := newFake("a"), newFake("late")
	late.ready = make(chan struct{})
	r := start(t, Config{}, a, late)
	wait(t, "the tasks to start", late.started)
	close(late.ready)
	if got := receive(t, l); got != "READY=1" {
		t.Errorf("systemd was told %q, want READY=1", got)
	}
	r.send(syscall.SIGTERM)
	if got := receive(t, l); got != "STOPPING=1" {
		t.Errorf("systemd was told %q, want STOPPING=1", got)
	}
	late.finish(t)
	a.finish(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func receive(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// TestNotReadyBeforeAllAre ends a daemon one of whose tasks never got ready.
func TestNotReadyBeforeAllAre(t *testing.T) {
	var out bytes.Buffer // read when nobody writes any more
	a, never := newFake("a"), newFake("never")
	never.ready = make(chan struct{})
	r := start(t, Config{Log: slog.New(slog.NewTextHandler(&out, nil))}, a, never)
	wait(t, "the last task to start", never.started)
	r.send(syscall.SIGTERM)
	never.finish(t)
	a.finish(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "msg=ready") {
		t.Errorf("called ready without its last task:\n%s", &out)
	}
}

func TestReadyNamesTheTasks(t *testing.T) {
	out := make(lines, 8)
	a, b := newFake("front"), newFake("controller")
	r := start(t, Config{Log: slog.New(slog.NewTextHandler(out, nil))}, a, b)
	select {
	case line := <-out:
		if !strings.Contains(line, `msg=ready tasks="front, controller"`) {
			t.Errorf("logged %s", line)
		}
	case <-time.After(10 * time.Second):
		t.Error("never ready")
	}
	r.send(syscall.SIGTERM)
	b.finish(t)
	a.finish(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// lines is a writer that hands on what is written to it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
