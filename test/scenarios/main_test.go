// Package scenarios runs the built binaries in network namespaces, over
// emulated links, with real applications. It asserts what must hold on any
// machine; figures are those of test/bench. Each rig is a network of its
// own, so that tests run in parallel; what is shared by subtests is used by one
// after the other.
package scenarios

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/netns/rig/rigtest"
)

// bin is the directory of the programs under test.
var bin string

func TestMain(m *testing.M) {
	if kind := os.Getenv(envHelper); kind != "" {
		runtime.LockOSThread()
		beHelper(kind, os.Args[1:])
	}
	rigtest.Main(m, &bin)
}

// start returns a running system that ends with the test. Its output is shown
// when the test fails.
func start(t *testing.T, cfg rig.Config) *rig.Rig {
	t.Helper()
	netns.Require(t)
	cfg.Bin = bin
	r, err := rig.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range []*netns.Process{r.Server, r.ClientDaemon} {
				if p != nil {
					t.Logf("output of %s:\n%s", p.Name(), p.Output())
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Errorf("closing the rig: %v", err)
		}
	})
	return r
}

// need returns the path of a tool, or skips: real applications are used where
// they are installed.
func need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed: this test drives the real program", tool)
	}
	return path
}
