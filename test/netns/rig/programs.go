package rig

import (
	"context"
	"errors"
	"os"

	"mpproxy/test/netns"
)

// envPrograms tells the program that netns.Enter starts in a user namespace
// where the one that started it has built the programs: inside there is no
// network to fetch modules from.
const envPrograms = "MPPROXY_PROGRAMS"

// Enter builds both programs, enters a user namespace where that is needed, and
// returns the directory of the programs. It must be called first in main or
// TestMain. remove removes the directory. An error of netns.Enter is returned
// with a usable directory: netns.Require repeats it in each test.
func Enter(ctx context.Context) (dir string, remove func() error, err error) {
	dir = os.Getenv(envPrograms)
	remove = func() error { return os.RemoveAll(dir) }
	if dir != "" {
		return dir, remove, netns.Enter()
	}
	if dir, err = os.MkdirTemp("", "mpproxy-programs-"); err != nil {
		return "", remove, err
	}
	// Programs are run as other users, too.
	if err := errors.Join(os.Chmod(dir, 0o755), Build(ctx, dir)); err != nil {
		return "", remove, errors.Join(err, remove())
	}
	if err := os.Setenv(envPrograms, dir); err != nil {
		return "", remove, errors.Join(err, remove())
	}
	return dir, remove, netns.Enter()
}
