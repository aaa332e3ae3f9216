package control

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/hoststate"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/veth"
)

// envCrash makes TestControllerCrash end the process with the Controller open,
// whose journal is in the directory that it names.
const envCrash = "MPPROXY_TEST_CRASH"

func userSpace(t *testing.T) bool {
	t.Helper()
	return must1(hoststate.UserSpace())(t)
}

// TestControllerPutsBack: the path manager is user space's while a Controller is
// open, and the kernel's again afterwards.
func TestControllerPutsBack(t *testing.T) {
	if !inside(t) {
		return
	}
	if userSpace(t) {
		t.Fatal("a new namespace has the user-space path manager already")
	}
	ctl := openController(t)
	if !userSpace(t) {
		t.Error("the path manager was not taken over")
	}
	must(t, ctl.Close())
	must(t, ctl.Close()) // twice is fine
	if userSpace(t) {
		t.Error("the path manager was not put back")
	}
}

// TestControllerHeir: of two, the second takes over when the first ends, and
// what was nobody's doing stays.
func TestControllerHeir(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newBareWorld(t)
	first, second := openController(t), openController(t)
	w.ctl = second
	p := w.dial(Dialer{Strict: true}, there4[0])
	_, err := p.conn.OpenSub(testContext(t), port0(here4[1]), netip.AddrPort{}, Normal)
	must(t, err)
	must(t, first.Close())
	ctx := testContext(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !userSpace(t) { // the second one notices by itself
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nobody has taken the path manager over from a Controller that was closed")
		}
	}
	must(t, p.conn.SetSubflows(ctx, 1))
	must(t, second.Close())
	if userSpace(t) {
		t.Error("the path manager was not put back")
	}
	must(t, os.WriteFile(pathManagerSysctlFile(t)))
	third := openController(t)
	must(t, third.Close())
	if !userSpace(t) {
		t.Error("the path manager was put back that somebody else had chosen")
	}
}

// pathManagerSysctlFile returns what makes user space the path manager.
func pathManagerSysctlFile(t *testing.T) (name string, value []byte, perm os.FileMode) {
	t.Helper()
	name = mptcpSysctls + "path_manager"
	if _, err := os.Stat(name); err != nil {
		return mptcpSysctls + "pm_type", []byte("1"), 0
	}
	return name, []byte("userspace"), 0
}

// TestControllerCrash: what a killed program left is put back by the next one.
func TestControllerCrash(t *testing.T) {
	if dir := os.Getenv(envCrash); dir != "" {
		_, err := OpenController(testContext(t), ControllerConfig{StateDir: dir})
		must(t, err)
		os.Exit(0) // and nothing is put back
	}
	if !inside(t) {
		return
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(testContext(t), "/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), envCrash+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !userSpace(t) {
		t.Fatal("the program that crashed had not taken the path manager over")
	}
	ctl, err := OpenController(testContext(t), ControllerConfig{StateDir: dir, NoSourceRouting: true})
	must(t, err)
	must(t, ctl.Close())
	if userSpace(t) {
		t.Error("the path manager was not put back")
	}
}

// TestControllerServesOthers: a program that knows nothing of the Controller
// gets the subflows of the endpoints that are configured.
func TestControllerServesOthers(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	w.self.Endpoint(t, here4[1].String(), veth.Subflow)
	w.self.Limits(t, 4)
	ctl := w.ctl
	w.ctl = nil // this connection is another program's
	p := w.dial(Dialer{Strict: true}, there4[0])
	ev := w.his.await(t, "second subflow", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventSubflowEstablished })
	if ev.Remote.Addr().Unmap() != here4[1] {
		t.Errorf("the peer sees %v, want one from the endpoint %v", ev, here4[1])
	}
	must(t, ctl.Attach(p.conn)) // and can be controlled from now on
	must(t, p.conn.SetSubflows(testContext(t), 1))
}

// TestControllerCancelled: a context that is over opens nothing.
func TestControllerCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := OpenController(ctx, ControllerConfig{StateDir: t.TempDir()})
	wantError(t, "OpenController", err, context.Canceled)
	if !strings.Contains(err.Error(), "open controller") {
		t.Errorf("%v does not say what failed", err)
	}
}
