package subflowbpf_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mpproxy/pathctl/subflowbpf"
)

// cgroupOf returns the cgroup v2 of this process as its namespace has it.
func cgroupOf(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	must(t, err)
	for line := range strings.SplitSeq(string(b), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return path
		}
	}
	t.Skip("no cgroup v2")
	return ""
}

// cgroupDir returns the directory of it, found in another way than the package's.
func cgroupDir(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.SplitSeq(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return filepath.Join(f[1], cgroupOf(t))
		}
	}
	t.Skip("cgroup v2 is not mounted")
	return ""
}

// TestCloseRestoresCgroup compares before and after, with a second watcher that
// keeps the cgroup while the first goes.
func TestCloseRestoresCgroup(t *testing.T) {
	before, dir := cgroupOf(t), cgroupDir(t)
	own := filepath.Join(dir, "mpproxy-"+strconv.Itoa(os.Getpid()))
	first, second := watch(t, subflowbpf.Config{}), watch(t, subflowbpf.Config{})
	inside := filepath.Join(before, filepath.Base(own))
	// A child that does not know about it comes along, and back.
	sleeper := exec.Command("sleep", "60")
	must(t, sleeper.Start())
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()

	if got := cgroupOf(t); got != inside {
		t.Errorf("in cgroup %q while watching, want %q", got, inside)
	}
	checkAllThreadsIn(t, inside)
	must(t, first.Close())
	if got := cgroupOf(t); got != inside {
		t.Errorf("in cgroup %q while the second watches, want %q", got, inside)
	}
	must(t, second.Close())
	if got := cgroupOf(t); got != before {
		t.Errorf("in cgroup %q afterwards, want %q", got, before)
	}
	checkAllThreadsIn(t, before)
	if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := second.Remove(1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("use after Close: %v", err)
	}
	if _, err := second.Receive(testContext(t)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
}

func checkAllThreadsIn(t *testing.T, cgroup string) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/cgroup")
	must(t, err)
	for _, file := range tasks {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // ended
		}
		must(t, err)
		if !strings.Contains(string(b)+"\n", "0::"+cgroup+"\n") {
			t.Errorf("%s: %s, want %s", file, b, cgroup)
		}
	}
}

// TestLeftoverIsRemoved stands for a crash: the cgroup of a process that is gone.
// That of a process that lives is left alone.
func TestLeftoverIsRemoved(t *testing.T) {
	dir := cgroupDir(t)
	must(t, watch(t, subflowbpf.Config{}).Close()) // or skip
	dead := exec.Command("true")
	must(t, dead.Run())
	leftover := filepath.Join(dir, "mpproxy-"+strconv.Itoa(dead.Process.Pid))
	living := filepath.Join(dir, "mpproxy-1")
	other := filepath.Join(dir, "mpproxy-test-"+strconv.Itoa(os.Getpid()))
	for _, d := range []string{leftover, living, other} {
		must(t, os.Mkdir(d, 0o755))
		defer os.Remove(d)
	}
	w := watch(t, subflowbpf.Config{})
	if _, err := os.Stat(leftover); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cgroup of a dead process: %v", err)
	}
	for _, d := range []string{living, other} {
		if _, err := os.Stat(d); err != nil {
			t.Error(err)
		}
	}
	must(t, w.Close())
}
