package subflowbpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

// An ownCgroup is a cgroup that a process made for itself inside the one in
// which it was.
type ownCgroup struct {
	origin, dir string
}

// own is the process's own cgroup, shared by its watchers: a process is in one
// cgroup only.
var own struct {
	sync.Mutex
	users  int
	cgroup ownCgroup
}

// acquireOwnCgroup makes the cgroup, which is empty until enter, or gives the one
// that another watcher of this process has made. Each acquire takes a release.
func acquireOwnCgroup() (ownCgroup, error) {
	own.Lock()
	defer own.Unlock()
	if own.users == 0 {
		c, err := makeOwnCgroup(os.Getpid())
		if err != nil {
			return ownCgroup{}, err
		}
		own.cgroup = c
	}
	own.users++
	return own.cgroup, nil
}

// explainCgroup says why the process has no cgroup of its own.
func explainCgroup(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%w: no cgroup of our own (with systemd, set Delegate=yes): %w", ErrPrivileges, err)
	}
	return fmt.Errorf("no cgroup of our own: %w", err)
}

// releaseOwnCgroup moves the process back and removes the cgroup, once nobody
// uses it any more.
func releaseOwnCgroup() error {
	own.Lock()
	defer own.Unlock()
	if own.users--; own.users > 0 {
		return nil
	}
	return own.cgroup.remove()
}

// makeOwnCgroup makes a cgroup named after the process inside its current one.
// If the process is in one of that name, because it replaced itself (execve)
// without leaving, that one is taken over.
func makeOwnCgroup(pid int) (ownCgroup, error) {
	current, err := bpfenv.CurrentCgroup()
	if err != nil {
		return ownCgroup{}, err
	}
	name := bpfenv.OwnCgroupName(pid)
	if filepath.Base(current) == name {
		return ownCgroup{origin: filepath.Dir(current), dir: current}, nil
	}
	sweep(current)
	c := ownCgroup{origin: current, dir: filepath.Join(current, name)}
	// A cgroup of that name is a leftover of an earlier process with our number.
	// The removal fails if a process of another process namespace is in it.
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ownCgroup{}, fmt.Errorf("remove a cgroup: %w", err)
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return ownCgroup{}, fmt.Errorf("make a cgroup: %w", err)
	}
	return c, nil
}

// enter moves the process, all of its threads, into the cgroup. Sockets that it
// has opened before stay where they were.
func (c ownCgroup) enter(pid int) error { return move(pid, c.dir) }

// removeTries bounds how often remove starts again: a process that is about to
// end cannot be moved, and keeps the cgroup busy.
const (
	removeTries = 20
	removePause = 10 * time.Millisecond
)

// remove moves everything that is in the cgroup, the process's children too,
// back to where it came from, and removes it.
func (c ownCgroup) remove() error {
	var err error
	for try := range removeTries {
		if try > 0 {
			time.Sleep(removePause)
		}
		moved := moveAll(c.dir, c.origin)
		err = errors.Join(moved, os.Remove(c.dir))
		if _, gone := os.Stat(c.dir); errors.Is(gone, fs.ErrNotExist) {
			return moved
		}
		if !errors.Is(err, syscall.EBUSY) {
			break
		}
	}
	return fmt.Errorf("subflowbpf: leave cgroup %s, which stays until the next start: %w", c.dir, err)
}

// moveAll moves all processes of a cgroup to another.
func moveAll(from, to string) error {
	content, err := os.ReadFile(filepath.Join(from, bpfenv.CgroupProcs))
	if err != nil {
		return err
	}
	for line := range strings.FieldsSeq(string(content)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return fmt.Errorf("%s holds %q: %w", bpfenv.CgroupProcs, line, err)
		}
		// 0 is a process outside of our process namespace.
		if err := move(pid, to); pid != 0 && err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// move moves one process. O_WRONLY alone: the file is there, or the cgroup is
// gone.
func move(pid int, dir string) error {
	if pid == 0 {
		return nil // would move ourselves
	}
	f, err := os.OpenFile(filepath.Join(dir, bpfenv.CgroupProcs), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("move process %d: %w", pid, err)
	}
	defer f.Close()
	if _, err := f.WriteString(strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("move process %d: %w", pid, err)
	}
	return nil
}

// sweep removes the cgroups of processes that ended without removing theirs. A
// cgroup stays if there is still a process in it: a child of the dead one, or one of
// another process namespace.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, ok := bpfenv.CgroupOwner(e.Name())
		if !ok || !e.IsDir() || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		_ = os.Remove(filepath.Join(dir, e.Name()))
	}
}
