package hoststate

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// envDir makes the test binary open a journal in this directory.
const envDir = "MPPROXY_TEST_JOURNAL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		if _, err := OpenJournal(dir, "client"); err != nil {
			os.Stdout.WriteString(err.Error())
		}
		return
	}
	os.Exit(m.Run())
}

// TestDirectoryOfAnotherUser: below /tmp anybody may make our directory first.
func TestDirectoryOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to run as another user")
	}
	const me, stranger = 4711, 4712
	for name, tt := range map[string]struct {
		owner int
		says  string
	}{
		"mine":          {me, ""},
		"root's":        {0, "permission denied"},
		"of a stranger": {stranger, "belongs to user id 4712: remove it, or set XDG_RUNTIME_DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "journal") // t.TempDir is below a directory of root's
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := os.Chown(dir, tt.owner, tt.owner); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = append(os.Environ(), envDir+"="+dir, "GORACE=atexit_sleep_ms=0")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: me, Gid: me}}
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if (tt.says == "") != (len(out) == 0) || !strings.Contains(string(out), tt.says) {
				t.Errorf("Open says %q, want %q in it", out, tt.says)
			}
		})
	}
}
