// Package scenarios runs the built binaries in network namespaces, over
// emulated links, with real applications. It asserts what must hold on any
// machine; figures are those of test/netns/bench.
package scenarios

import (
	"context"
	"errors"
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, remove, err := rig.Enter(ctx)
	if dir == "" {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir // an error of entering is repeated, and explained, by netns.Require
	code := m.Run()
	err = remove()
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
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
