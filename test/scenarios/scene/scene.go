// Package scene is what the areas of scenarios have in common: a running system,
// applications that use it, and looks at what it does.
//
//	func TestMain(m *testing.M) { scene.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		r := scene.Start(t, rig.Config{Links: rig.DSLAndLTE()})
//		scene.Works(t, r)
//	}
//
// A scenario runs the built programs in network namespaces, over emulated
// links, with real applications. It asserts what holds on any machine; figures
// are those of test/bench. Each rig is a network of its own, so that tests run
// in parallel; what subtests share, they use one after the other.
package scene

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/netns/rig/rigtest"
)

// Programs is the directory of the programs under test.
var Programs string

// Main is the TestMain of an area.
func Main(m *testing.M) {
	if kind := os.Getenv(EnvHelper); kind != "" {
		runtime.LockOSThread()
		beHelper(kind, os.Args[1:])
	}
	rigtest.Main(alone{m}, &Programs)
}

// alone runs the tests of an area while no other area runs its own. The go
// command runs several packages at once; an area already keeps all CPUs busy,
// and two of them would make each other's transfers late.
type alone struct{ m *testing.M }

// Run locks the directory of all areas, in which a test of an area has its
// working directory, and runs the tests. The test's -timeout begins when the
// lock is held, because testing.M.Run starts it.
func (a alone) Run() int {
	areas, err := os.Open("..")
	if err == nil {
		defer areas.Close() // which unlocks it
		err = unix.Flock(int(areas.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lock the scenarios:", err)
		return 1
	}
	return a.m.Run()
}

// Start returns a running system that ends with the test. Its output is shown
// when the test fails.
func Start(t *testing.T, cfg rig.Config) *rig.Rig {
	t.Helper()
	netns.Require(t)
	cfg.Bin = Programs
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

// Need returns the path of a tool, or skips: real applications are used where
// they are installed.
func Need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed: this test drives the real program", tool)
	}
	return path
}

// LocalHost is a host without any network, for commands that need none: it
// keeps them away from the configuration of who runs the tests.
func LocalHost(t *testing.T) *netns.Host {
	t.Helper()
	h, err := netns.NewHost(t.Context(), netns.HostConfig{Name: "local"})
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

// TokenOf returns the token of a link.
func TokenOf(u *url.URL) string {
	token, _ := u.User.Password()
	return token
}

// RunWith starts the client with a link instead of a configuration.
func RunWith(t *testing.T, r *rig.Rig, link string, args ...string) {
	t.Helper()
	var err error
	r.ClientDaemon, err = r.Client.Start(t.Context(), netns.Spec{
		Path: r.ClientBinary(), Args: append([]string{"run", "--link", link}, args...),
	})
	if err != nil {
		t.Fatal(err)
	}
	Saw(t, r.ClientDaemon, "msg=ready")
}
