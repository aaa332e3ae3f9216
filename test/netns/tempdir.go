package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tempPrefix begins the names of hosts' directories.
const tempPrefix = "mpproxy-netns-"

// TempDir is a directory for temporary files that is locked as long as its
// program lives, so that the next one can tell, and remove, what a killed
// program has left.
type TempDir struct {
	Path string
	lock int // descriptor, open until Remove or the end of the program
}

// NewTempDir makes one whose name begins with a prefix, for its owner only, and
// removes those of that prefix that nobody uses any more.
func NewTempDir(prefix string) (*TempDir, error) {
	sweep(os.TempDir(), prefix)
	var errs []error
	for range 3 {
		d, err := tryTempDir(prefix)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// tryTempDir fails when another program sweeps between the making of the lock
// and its taking.
func tryTempDir(prefix string) (*TempDir, error) {
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	d := &TempDir{Path: path}
	name := filepath.Join(path, "lock")
	if d.lock, err = unix.Open(name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600); err == nil {
		err = unix.Flock(d.lock, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		_, err = os.Stat(name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), d.Remove())
	}
	return d, nil
}

// Remove removes the directory with what is in it. Doing it twice is fine.
func (d *TempDir) Remove() error {
	err := os.RemoveAll(d.Path)
	if d.lock >= 0 {
		unix.Close(d.lock)
		d.lock = -1
	}
	return err
}

// sweep removes the directories of programs that are no more. One without a lock
// file is just being made, or not ours to judge.
func sweep(dir, prefix string) {
	found, _ := filepath.Glob(filepath.Join(dir, prefix+"*", "lock"))
	for _, name := range found {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // another user's, or gone
		}
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		unix.Close(fd)
	}
}
