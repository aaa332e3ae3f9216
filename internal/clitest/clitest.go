// Package clitest runs a command as its users do, for tests of its command
// line: a process with arguments, input, outputs and an exit code.
//
//	func TestMain(m *testing.M) { clitest.Main(m, main) }
//
//	r := clitest.Run(t, clitest.Call{Args: []string{"version"}})
//	r.Expect(t, 0, "mpproxy-client")
//
// The process is the test binary itself, which calls the command's main, so
// there is nothing to build. It runs in a network namespace of its own where
// one can be had: a test whose command line was meant to be refused changes
// nothing on this host when it is not.
package clitest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envMain makes the test binary be the command.
const envMain = "MPPROXY_TEST_MAIN"

// timeout bounds one call: it is for commands that hang.
const timeout = time.Minute

// Main runs the command instead of the tests in processes that Run started.
func Main(m *testing.M, main func()) {
	if os.Getenv(envMain) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Call is one use of the command.
type Call struct {
	Args  []string
	Stdin string
	Dir   string   // working directory; empty: an empty one
	Env   []string // NAME=value, added to an environment without HOME and XDG_…
	// Network leaves the process in the test's network namespace.
	Network bool
}

// Result is how the process ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run calls the command and waits for it.
func Run(t testing.TB, c Call) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, c.Args...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Env = append(environ(), c.Env...)
	cmd.Stdin = strings.NewReader(c.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if !c.Network && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) && cmd.SysProcAttr != nil {
		t.Skip("root without CAP_SYS_ADMIN cannot make a network namespace: ", err)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%q: %v, %v\n%s%s", c.Args, err, ctx.Err(), &stdout, &stderr)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// environ is the test's environment without what tells a command where this
// user's files are.
func environ() []string {
	// A program with the race detector waits a second before it ends.
	env := []string{envMain + "=1", "GORACE=atexit_sleep_ms=0"}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != "HOME" && name != "GORACE" && name != "NOTIFY_SOCKET" && !strings.HasPrefix(name, "XDG_") {
			env = append(env, kv)
		}
	}
	return env
}

// Expect checks the exit code, that the texts are part of the output (standard
// output of a success, standard error of a failure), and that nothing crashed.
func (r Result) Expect(t testing.TB, code int, texts ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit code %d, want %d", r.Code, code)
	}
	out := r.Stdout
	if code != 0 {
		out = r.Stderr
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("the output lacks %q", text)
		}
	}
	if strings.Contains(r.Stderr, "goroutine ") || strings.Contains(r.Stderr, "panic:") {
		t.Error("the command crashed")
	}
	if t.Failed() {
		t.Logf("exit code %d\n--- standard output\n%s--- standard error\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

// Hides checks that a secret is in neither output.
func (r Result) Hides(t testing.TB, secret string) {
	t.Helper()
	if secret == "" {
		t.Fatal("an empty secret is in every output")
	}
	if strings.Contains(r.Stdout, secret) || strings.Contains(r.Stderr, secret) {
		t.Errorf("the output shows a secret\n--- standard output\n%s--- standard error\n%s", r.Stdout, r.Stderr)
	}
}
