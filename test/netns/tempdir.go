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
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	d := &TempDir{Path: path, lock: -1}
	if err := d.takeLock(); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), d.Remove())
	}
	return d, nil
}

// takeLock makes a lock file that is locked before it has its name: another program
// that sweeps at that moment would take it for a dead one's.
func (d *TempDir) takeLock() (err error) {
	nameless, name := filepath.Join(d.Path, "unlocked"), filepath.Join(d.Path, "lock")
	if d.lock, err = unix.Open(nameless, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(d.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	return os.Rename(nameless, name)
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
