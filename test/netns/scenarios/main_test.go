// Package scenarios runs the built binaries in network namespaces, over
// emulated links, with real applications. It asserts what must hold on any
// machine; figures are those of test/netns/bench.
package scenarios

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// bin is the directory of the programs under test.
var bin string

func TestMain(m *testing.M) {
	if kind := os.Getenv(envHelper); kind != "" {
		runtime.LockOSThread()
		beHelper(kind, os.Args[1:])
	}
	// The error is repeated, and explained, by netns.Require in each test.
	_ = netns.Enter()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mpproxy-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// Scenarios run the programs as an ordinary user, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := rig.Build(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = dir
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
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
