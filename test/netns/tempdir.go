package netns

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tempPrefix begins the names of our directories in the directory for temporary
// files.
const tempPrefix = "mpproxy-netns-"

// tempDir is a directory that is locked as long as its program lives, so that
// the next one can tell, and remove, what a killed program has left.
type tempDir struct {
	path string
	lock *os.File
}

func newTempDir() (*tempDir, error) {
	sweep(os.TempDir())
	var errs []error
	for range 3 {
		d, err := tryTempDir()
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// tryTempDir fails when another program sweeps between the making of the lock
// and its taking.
func tryTempDir() (*tempDir, error) {
	path, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return nil, err
	}
	d := &tempDir{path: path}
	name := filepath.Join(path, "lock")
	if d.lock, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		_, err = os.Stat(name)
	}
	if err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func (d *tempDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		d.lock.Close()
	}
	return err
}

// sweep removes the directories of programs that are no more. One without a lock
// file is just being made, or not ours to judge.
func sweep(dir string) {
	found, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*", "lock"))
	for _, name := range found {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			continue // another user's, or gone
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		f.Close()
	}
}
