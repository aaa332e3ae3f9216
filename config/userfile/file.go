package userfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mpproxy/config/tomlfile"
)

// maxFile is in bytes: some 300,000 users.
const maxFile = 64 << 20

// Load reads the users file at path. Errors are as Parse's; a file
// that cannot be read gives an error for which errors.Is finds fs.ErrNotExist or
// fs.ErrPermission. Writers replace the file atomically, so no lock is needed.
func Load(path string) (Set, error) {
	data, info, err := tomlfile.ReadFile(path, maxFile)
	if err != nil {
		return Set{}, err
	}
	us, err := Parse(data, path)
	if err != nil {
		return Set{}, err
	}
	us.ended = bytes.HasSuffix(bytes.TrimSpace(data), []byte("# "+endMark))
	if w := tomlfile.ExposedWarning(path, info); w != "" {
		us.warnings = append(us.warnings, w)
	}
	return us, nil
}

// Save writes the users file atomically: mode 0600, the owner of the file
// that is there kept. It waits for other writers until ctx ends. To change a
// file use Update, which keeps its lock between reading and writing.
func Save(ctx context.Context, path string, us Set) error {
	unlock, err := lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	return tomlfile.ReplacePrivate(path, us.Encode())
}

// Update reads the users file, lets change make new users of them, and
// writes these, all under the file's lock: of two programs that add a user at
// the same time neither is lost. Nothing is written when change fails; its error
// is returned as it is. It waits for other writers until ctx ends.
func Update(ctx context.Context, path string, change func(Set) (Set, error)) (Set, error) {
	unlock, err := lock(ctx, path)
	if err != nil {
		return Set{}, err
	}
	defer unlock()
	us, err := Load(path)
	if err != nil {
		return Set{}, err
	}
	if us, err = change(us); err != nil {
		return Set{}, err
	}
	return us, tomlfile.ReplacePrivate(path, us.Encode())
}

// lockPoll is how often a busy lock is tried again. flock has no timeout, and a
// blocked call cannot be cancelled.
const lockPoll = 20 * time.Millisecond

// lock takes the lock file beside path. The lock file stays: removing it
// would let a waiter lock a file that nobody else sees any more.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // one file, one lock, whatever names it has
	}
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing releases the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", name, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("cannot lock %s, another program holds it: %w", name, ctx.Err()), f.Close())
		case <-time.After(lockPoll):
		}
	}
}
