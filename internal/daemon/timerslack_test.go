package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// slackRole makes the test program one that widens its timer slack and tells of it.
const slackRole = "MPPROXY_TEST_TIMERSLACK"

func playSlackRole() {
	fmt.Println("begins as", os.Getpid())
	WidenTimerSlack()
	fmt.Println("goes on as", os.Getpid(), os.Args[1:])
	fmt.Println("slack", int64(getTimerSlack()))
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, dir := range threads {
		// Another thread's is shown to whoever has CAP_SYS_NICE.
		if b, err := os.ReadFile(filepath.Join("/proc", filepath.Base(dir), "timerslack_ns")); err == nil {
			fmt.Println("slack", strings.TrimSpace(string(b)))
		}
	}
}

// TestWidenTimerSlack: the program begins once more, as the same process with the same
// arguments, and not a third time; all its threads have the slack then, the runtime's
// own among them.
func TestWidenTimerSlack(t *testing.T) {
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
	if len(lines) < 4 || !slices.Equal(lines[:3], want) {
		t.Fatalf("the program said\n%s\nwant first\n%s", out, strings.Join(want, "\n"))
	}
	for _, l := range lines[3:] {
		if l != fmt.Sprint("slack ", int64(timerSlack)) {
			t.Errorf("%q, want %v", l, timerSlack)
		}
	}
	if os.Getuid() == 0 && len(lines) < 3+1+2 {
		t.Errorf("only %d threads were looked at", len(lines)-4)
	}
}
