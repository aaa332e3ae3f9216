package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mpproxy/test/netns"
)

// EnvPrograms tells the program that netns.Enter starts in a user namespace
// where the one that started it has built the programs: inside there is no
// network to fetch modules from. It also names a directory of programs that were
// built elsewhere; who uses it removes it in the end.
const EnvPrograms = "MPPROXY_PROGRAMS"

// Enter builds packages, both programs if none is named, enters a user namespace
// where that is needed, and returns the directory of the programs. It must be
// called first in main or TestMain. remove removes the directory. An error of
// netns.Enter is returned with a usable directory: netns.Require repeats it in
// each test.
func Enter(ctx context.Context, packages ...string) (dir string, remove func() error, err error) {
	dir = os.Getenv(EnvPrograms)
	remove = func() error { return os.RemoveAll(dir) }
	if dir != "" {
		return dir, remove, netns.Enter()
	}
	temp, err := netns.NewTempDir("mpproxy-programs-")
	if err != nil {
		return "", remove, err
	}
	dir, remove = temp.Path, temp.Remove
	// Programs are run as other users, too.
	if err := errors.Join(os.Chmod(dir, 0o755), Build(ctx, dir, packages...)); err != nil {
		return "", remove, errors.Join(err, remove())
	}
	if err := os.Setenv(EnvPrograms, dir); err != nil {
		return "", remove, errors.Join(err, remove())
	}
	return dir, remove, netns.Enter()
}

// Main is the rest of the main function of a program that uses rigs, behind its
// flags: it runs run with the directory of the programs (see Enter) until it
// returns or a signal ends its context, and removes them. An error ends the
// program with status 1 and is said under the program's name.
func Main(name string, run func(ctx context.Context, programs string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	programs, remove, err := Enter(ctx)
	if err == nil {
		err = run(ctx, programs)
	}
	Exit(name, errors.Join(err, remove()))
}

// Exit ends the program: with status 1, saying the error, if there is one.
func Exit(name string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}
