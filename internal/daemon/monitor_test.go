package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// slackRole makes the test program one that slows the runtime's monitor and tells of it.
const slackRole = "MPPROXY_TEST_TIMERSLACK"

func playSlackRole() {
	fmt.Println("begins as", os.Getpid())
	SlowMonitor()
	fmt.Println("goes on as", os.Getpid(), os.Args[1:])
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, dir := range threads {
		// Another thread's is shown to whoever has CAP_SYS_NICE.
		if b, err := os.ReadFile(filepath.Join("/proc", filepath.Base(dir), "timerslack_ns")); err == nil {
			fmt.Println("has a thread with", strings.TrimSpace(string(b)))
		}
	}
}

// TestSlowMonitor: the program begins once more, as the same process with the same
// arguments, and not a third time; one thread has the wide slack then, and all others
// the usual one.
func TestSlowMonitor(t *testing.T) {
	cmd := exec.Command(os.Args[0], "an argument")
	cmd.Env = append(os.Environ(), slackRole+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	pid := cmd.Process.Pid
	begins := fmt.Sprint("begins as ", pid)
	want := []string{begins, begins, fmt.Sprint("goes on as ", pid, " [an argument]")}
	if len(lines) < len(want) || !slices.Equal(lines[:len(want)], want) {
		t.Fatalf("the program said\n%s\nwant first\n%s", out, strings.Join(want, "\n"))
	}
	if os.Getuid() != 0 || usesCgo() { // with cgo threads are started by one that keeps the wide slack
		return
	}
	slacks := make(map[string]int)
	for _, l := range lines[len(want):] {
		slacks[l]++
	}
	usual, wide := fmt.Sprint("has a thread with ", int64(usualSlack)), fmt.Sprint("has a thread with ", int64(monitorSlack))
	// Now and then the monitor starts one just then.
	if len(slacks) != 2 || slacks[wide] > 2 || slacks[usual] < spareThreads {
		t.Errorf("the program said\n%s\nwant %q once or twice and otherwise %q", out, wide, usual)
	}
}

func usesCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})
}
