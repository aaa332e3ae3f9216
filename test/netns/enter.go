package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// envEntered marks the program that runs in the user namespace already.
const envEntered = "MPPROXY_NETNS_ENTERED"

// EnvRequire, set to 1, makes Require fail where it would skip: for machines
// that are meant to run all tests.
const EnvRequire = "MPPROXY_NETNS_REQUIRE"

// Enter must be the first call of main or TestMain. For root it does nothing. As
// an ordinary user it runs the program a second time, as root of a new user
// namespace, and exits with its status; it returns only in that second program,
// or when no such namespace can be had, with the reason. Require and NewHost
// then give the same reason.
func Enter() error {
	if os.Getenv(envEntered) != "" {
		return loopbackUp() // that of the new namespace is down
	}
	if possible() == nil {
		return nil
	}
	status, err := rerun()
	if err != nil {
		return fmt.Errorf("netns: not root, and no user namespace either: %w", err)
	}
	os.Exit(status)
	return nil
}

// rerun runs the program again in a user namespace in which the caller is root.
func rerun() (status int, err error) {
	// Pdeathsig goes off with the thread that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envEntered+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGTERM,
	}
	// A terminal sends its signals to both. The second program tidies up and
	// ends; this one waits for that, instead of dying before.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	forwarding := make(chan struct{})
	go forward(signals, cmd.Process, ended, forwarding)
	err = cmd.Wait()
	close(ended)
	<-forwarding
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// forward sends signals on to a process until it has ended.
func forward(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	for {
		select {
		case s := <-signals:
			_ = p.Signal(s) // it may have ended this moment
		case <-ended:
			return
		}
	}
}

// possible says why namespaces cannot be made here, nil if they can. It tries
// once.
var possible = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h, err := NewHost(ctx, HostConfig{Name: "probe"})
	if err != nil {
		return err
	}
	return h.Close()
})

// TB is the part of testing.TB that Require needs; it keeps package testing out
// of programs.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require skips the test, saying why, when hosts cannot be made here; it fails
// when they should be possible: for root of the machine with the capabilities,
// or with MPPROXY_NETNS_REQUIRE=1.
func Require(t TB) {
	t.Helper()
	err := possible()
	switch {
	case err == nil:
	case os.Getenv(EnvRequire) == "1" || hasCapabilities():
		t.Fatalf("network namespaces should work here: %v", err)
	case os.Geteuid() != 0:
		t.Skipf("needs root or a user namespace (netns.Enter in TestMain): %v", err)
	default:
		t.Skipf("needs CAP_SYS_ADMIN and CAP_NET_ADMIN: %v", err)
	}
}

// hasCapabilities says whether the program has what hosts need, in the user
// namespace of the machine.
func hasCapabilities() bool {
	if os.Getenv(envEntered) != "" {
		return false
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
}
