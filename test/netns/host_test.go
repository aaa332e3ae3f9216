package netns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if err := Enter(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n") // the tests say it again as they skip
	}
	if dir := os.Getenv(envVictim); dir != "" {
		playVictim(dir)
	}
	goleak.VerifyTestMain(m)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newHost(t *testing.T, c HostConfig) *Host {
	t.Helper()
	Require(t)
	if c.Name == "" {
		c.Name = "host"
	}
	h, err := NewHost(testContext(t), c)
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

func TestHostsAreApart(t *testing.T) {
	ctx := testContext(t)
	a, b := newHost(t, HostConfig{Name: "a"}), newHost(t, HostConfig{Name: "b"})
	// The same port twice, and the same file in /run.
	for _, h := range []*Host{a, b} {
		err := h.Do(ctx, func() error {
			l, err := net.Listen("tcp", "127.0.0.1:80")
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close() })
			f, err := os.OpenFile("/run/state", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			return f.Close()
		})
		if err != nil {
			t.Errorf("host %s: %v", h.Name(), err)
		}
	}
	if _, err := os.Stat("/run/state"); err == nil {
		t.Error("a file made in a host's /run is visible outside")
	}
	if err := a.SetSysctl(ctx, "net.ipv4.ip_default_ttl", "99"); err != nil {
		t.Fatal(err)
	}
	got, err := a.Sysctl(ctx, "net.ipv4.ip_default_ttl")
	if err != nil || got != "99" {
		t.Errorf("in the host: TTL %q, %v; want 99", got, err)
	}
	if got, err := b.Sysctl(ctx, "net.ipv4.ip_default_ttl"); err != nil || got == "99" {
		t.Errorf("in the other host: TTL %q, %v; want an untouched one", got, err)
	}
	if err := a.SetSysctl(ctx, "kernel.hostname", "x"); err == nil {
		t.Error("a sysctl of the whole machine was accepted")
	}
}

func TestNames(t *testing.T) {
	ctx := testContext(t)
	h := newHost(t, HostConfig{Names: []NameEntry{{netip.MustParseAddr("192.0.2.7"), "seven.example"}}})
	look := func(name string) string {
		out, err := h.Command(ctx, "getent", "hosts", name).Output()
		if err != nil {
			return ""
		}
		addr, _, _ := strings.Cut(string(out), " ")
		return addr
	}
	if got := look("seven.example"); got != "192.0.2.7" {
		t.Errorf("seven.example is %q", got)
	}
	if err := h.SetNames([]NameEntry{{netip.MustParseAddr("192.0.2.8"), "eight.example"}}); err != nil {
		t.Fatal(err)
	}
	if got := look("eight.example"); got != "192.0.2.8" {
		t.Errorf("eight.example is %q after SetNames", got)
	}
	if got := look("seven.example"); got != "" {
		t.Errorf("seven.example is still %q after SetNames", got)
	}
	if b, err := os.ReadFile("/etc/hosts"); err == nil && strings.Contains(string(b), "eight.example") {
		t.Error("the name is in the machine's own /etc/hosts")
	}
}

func TestCommandEnvironment(t *testing.T) {
	t.Setenv("http_proxy", "http://192.0.2.1:1")
	ctx := testContext(t)
	h := newHost(t, HostConfig{})
	out, err := h.Command(ctx, "sh", "-c", `echo "$HOME|$TMPDIR|$http_proxy|$(pwd)"; touch $HOME/x $TMPDIR/y $XDG_RUNTIME_DIR/z`).Output()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(h.Dir(), "home")
	if got, want := strings.TrimSpace(string(out)), home+"|"+filepath.Join(h.Dir(), "tmp")+"||"+home; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(home, "x")); err != nil {
		t.Errorf("a file in the host's home is not visible outside: %v", err)
	}
	if _, err := h.Command(ctx, "sh", "-c", "echo because >&2; exit 3").Output(); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("error of a failing command: %v; want its standard error in it", err)
	}
}

func TestProcess(t *testing.T) {
	ctx := testContext(t)
	h := newHost(t, HostConfig{})
	p, err := h.Start(ctx, Spec{Path: "sh", Args: []string{"-c", `trap 'echo bye; exit 4' TERM; echo ready $$; while :; do sleep 0.01; done`}})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.WaitOutput(ctx, "ready"); err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("first line %q, %v", line, err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if err := p.Wait(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a context that ended: %v", err)
	}
	err = p.Stop(ctx)
	if err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("Stop: %v; want the exit status 4", err)
	}
	if !strings.Contains(p.Output(), "bye") {
		t.Errorf("output %q; want the last words", p.Output())
	}
	if _, err := p.WaitOutput(ctx, "never written"); !errors.Is(err, errEnded) {
		t.Errorf("waiting for output of a process that ended: %v", err)
	}
	if _, err := h.Start(ctx, Spec{Path: "/nonexistent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start of a missing program: %v", err)
	}
}

func TestCloseKillsAll(t *testing.T) {
	ctx := testContext(t)
	h := newHost(t, HostConfig{})
	// One deaf to signals, one that left its session.
	p, err := h.Start(ctx, Spec{Path: "sh", Args: []string{
		"-c",
		`trap '' TERM INT HUP; setsid sh -c 'echo daemon $$; exec sleep 1000' </dev/null & echo shell $$; while :; do sleep 0.01; done`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	line, err := p.WaitOutput(ctx, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	var daemon int
	if _, text, ok := strings.Cut(line, " "); ok {
		daemon = atoi(t, text)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{p.Pid(), daemon} {
		waitGone(t, ctx, pid)
	}
	if err := h.Do(ctx, func() error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("Do after Close: %v", err)
	}
	if _, err := h.Start(ctx, Spec{Path: "true"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	if _, err := os.Stat(h.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the host after Close: %v", err)
	}
}

// waitGone waits for the end of a process that is not our child. SIGKILL has
// been sent; a zombie whose parent has not looked yet counts as ended.
func waitGone(t *testing.T, ctx context.Context, pid int) {
	t.Helper()
	for ctx.Err() == nil {
		b, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
		if err != nil {
			return
		}
		if _, rest, ok := strings.Cut(string(b), ") "); ok && strings.HasPrefix(rest, "Z") {
			return
		}
		time.Sleep(time.Millisecond) // no event for this: it is not our child
	}
	t.Errorf("process %d still runs: %v", pid, syscall.Kill(pid, 0))
}

func TestDoAfterGoexit(t *testing.T) {
	ctx := testContext(t)
	h := newHost(t, HostConfig{})
	err := h.Do(ctx, func() error { panicless(); return nil })
	if err == nil {
		t.Error("Do of a function that ended its goroutine: no error")
	}
	if err := h.Do(ctx, func() error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("Do on the broken host: %v", err)
	}
}
