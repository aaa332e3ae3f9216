//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// envDir tells the second program, the one in the user namespace, where the
// first has put the programs.
const envDir = "MPPROXY_DEMO_DIR"

const dirPrefix = "mpproxy-demo-"

// buildTimeout bounds the build. Its time is not part of the show's: a first one
// fetches modules and compiles the standard library.
const buildTimeout = 5 * time.Minute

var (
	errNoMPTCP    = errors.New("this kernel has no Multipath TCP")
	errNamespaces = errors.New("network namespaces cannot be made here")
	errBuild      = errors.New("the programs could not be built")
)

// prepare builds the programs into a new directory and returns it, even with an
// error, for the caller to remove. All temporary files go there from now on.
// It comes before netns.Enter, since in the namespace there is no network to
// fetch modules from; the program that Enter starts finds the work done.
func prepare() (dir string, err error) {
	if dir = os.Getenv(envDir); dir != "" {
		return dir, nil
	}
	printIntroduction(os.Stdout)
	if _, err := os.Stat("/proc/sys/net/mptcp/enabled"); err != nil {
		return "", errNoMPTCP
	}
	if dir, err = makeDir(); err != nil {
		return dir, err
	}
	ctx, cancel := untilInterrupted(context.Background())
	defer cancel()
	ctx, stop := context.WithTimeoutCause(ctx, buildTimeout, fmt.Errorf("the build took longer than %s", buildTimeout))
	defer stop()
	fmt.Print("Building both programs (up to a minute the first time) … ")
	begun := time.Now()
	if err := rig.Build(ctx, dir); err != nil {
		fmt.Println("not finished.")
		if ctx.Err() != nil {
			return dir, context.Cause(ctx)
		}
		return dir, fmt.Errorf("%w: %w", errBuild, err)
	}
	fmt.Printf("done in %.1f s.\n", time.Since(begun).Seconds())
	return dir, nil
}

// makeDir makes the directory and lets this program, the go command and the
// harness keep their temporary files in it.
func makeDir() (string, error) {
	dir, err := netns.NewTempDir(dirPrefix)
	if err != nil {
		return "", err
	}
	return dir.Path, errors.Join(os.Setenv(envDir, dir.Path), os.Setenv("TMPDIR", dir.Path), os.Setenv("GOTMPDIR", dir.Path))
}

// explain says in a sentence what is missing and what to do, for what a new
// user may run into.
func explain(err error) string {
	switch {
	case errors.Is(err, errInterrupted):
		return "interrupted; everything that it had set up is gone again."
	case errors.Is(err, errNoMPTCP):
		return err.Error() + ": use Linux 6.1 or later with CONFIG_MPTCP=y, as distributions' kernels have it."
	case errors.Is(err, exec.ErrNotFound):
		return "the go command is not there: install Go 1.26 or later and put it into PATH."
	case errors.Is(err, errNamespaces):
		return err.Error() + ": run this as root, or allow them to ordinary users (sysctl user.max_user_namespaces above 0, " +
			"kernel.apparmor_restrict_unprivileged_userns=0), or give a container CAP_SYS_ADMIN and CAP_NET_ADMIN."
	}
	return err.Error()
}
