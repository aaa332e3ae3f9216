package pathctl

import (
	"errors"
	"mpproxy/pathctl/mptcppm"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutCapability: the controller goes on, says why nothing is registered,
// changes nothing and ends well.
func TestWithoutCapability(t *testing.T) {
	for _, role := range []string{"client", "concentrator"} {
		t.Run(role, func(t *testing.T) {
			l := newLab(t)
			const nobody = 65534
			if _, err := os.Stat("/proc/self/uid_map"); err == nil && !allUsers(t) {
				t.Skip("this user namespace has no second user to become")
			}
			dir, err := os.MkdirTemp("", "state")
			must(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			must(t, os.Chown(dir, nobody, nobody))
			l.state = dir
			pm := l.client
			if role == "concentrator" {
				pm = l.concentrator
			}
			p := l.start(t, role, envUser+"=65534", envAnnounce+"="+l.Concentrator4.String())
			line := waitFor(t, p, "status active=false endpoints=0")
			if !strings.Contains(line, mptcppm.ErrPermission.Error()) {
				t.Errorf("%s does not say what is missing", line)
			}
			wantEndpoints(t, "without the capability", pm)
			wantLimits(t, "without the capability", pm, 2, 0)
			stop(t, p)
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

// allUsers says whether this is the machine's own user namespace.
func allUsers(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	must(t, err)
	return strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// TestUnusableStateDirectory: what could not be put back after a crash is not
// changed.
func TestUnusableStateDirectory(t *testing.T) {
	l := newLab(t)
	l.state = filepath.Join(l.Client.Dir(), "file")
	must(t, os.WriteFile(l.state, nil, 0o600))
	p := l.start(t, "client")
	waitFor(t, p, "subflows cannot be managed")
	wantEndpoints(t, "without a journal", l.client)
	wantLimits(t, "without a journal", l.client, 2, 0)
	stop(t, p)
}

// TestDamagedJournal: it may say what is left to put back, so nothing is done
// until somebody has looked.
func TestDamagedJournal(t *testing.T) {
	l := newLab(t)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{Subflows: 1}))
	must(t, l.start(t, "client").Kill())
	files, _ := filepath.Glob(filepath.Join(l.state, "*.journal"))
	if len(files) != 1 {
		t.Fatalf("journals: %v, want one", files)
	}
	must(t, os.WriteFile(files[0], []byte("{"), 0o600))
	before := endpoints(t, l.client)
	p := l.start(t, "client")
	waitFor(t, p, "cannot be read")
	wantEndpoints(t, "with a damaged journal", l.client, before...)
	stop(t, p)
	if _, err := os.Stat(files[0]); errors.Is(err, os.ErrNotExist) {
		t.Error("the damaged journal was removed")
	}
}
