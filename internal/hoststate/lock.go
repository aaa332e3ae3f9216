package hoststate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse: another program of the same role registers endpoints in this
// network namespace.
var ErrInUse = errors.New("another mpproxy of this role manages subflows in this network namespace: stop it, or leave it to that one")

// locks are byte ranges of one file in the directory of the state, which only the programs
// of its owner can open. A lock of the kernel (F_OFD_SETLK, fcntl(2)) vanishes with the
// process that holds it. Each network namespace has bytes of its own: its inode says
// which.
type locks struct {
	dir  string
	file *os.File
	base int64 // of the bytes of this network namespace
	mine map[*Setting]bool
}

// locksFile is the file. The last program that closes it removes it.
const locksFile = "locks"

// The bytes of a network namespace.
const (
	guardByte = 0
	roleBytes = 16 // one for each of roles
	setBytes  = 64 // one for each of settings
	bytesBits = 8  // as many are set aside
)

// roles are those of whom there may be one in a network namespace. New ones go to the end.
var roles = []string{"client", "concentrator", "application"}

// guardTimeout bounds the wait for another program that reads and changes settings, which
// takes it milliseconds.
const guardTimeout = 5 * time.Second

func openLocks(dir string) (*locks, error) {
	ns, err := networkNamespace()
	if err != nil {
		return nil, fmt.Errorf("opening the locks: %w", err)
	}
	l := &locks{dir: dir, base: int64(ns) << bytesBits, mine: make(map[*Setting]bool)}
	return l, l.open()
}

func (l *locks) open() error {
	root, err := openDir(l.dir)
	if err == nil {
		l.file, err = root.OpenFile(locksFile, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		err = errors.Join(err, root.Close())
	}
	if err != nil {
		return fmt.Errorf("opening the locks: %w", err)
	}
	return nil
}

// close ends all locks. Who can lock all bytes is the last one.
func (l *locks) close() error {
	err := l.set(unix.F_WRLCK, 0, 0)
	if err == nil {
		err = os.Remove(l.file.Name())
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// set sets or ends a lock (unix.F_WRLCK, F_RDLCK, F_UNLCK) of n bytes, without waiting;
// n is 0 for all.
func (l *locks) set(kind int16, start, n int64) error {
	k := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: n}
	if err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &k); err != nil {
		return os.NewSyscallError("lock "+l.file.Name(), err)
	}
	return nil
}

// only locks a byte of this network namespace, if nobody else has. A file that the last
// one has removed meanwhile is opened anew: a program that does that holds nothing yet.
func (l *locks) only(at int64) error {
	for {
		if err := l.set(unix.F_WRLCK, l.base+at, 1); err != nil {
			return err
		}
		mine, err := l.file.Stat()
		if err != nil {
			return err
		}
		if now, err := os.Lstat(l.file.Name()); err == nil && os.SameFile(mine, now) {
			return nil
		}
		if err := errors.Join(l.file.Close(), l.open()); err != nil {
			return err
		}
	}
}

// guard waits until no other program changes settings.
func (l *locks) guard() error {
	for until := time.Now().Add(guardTimeout); ; time.Sleep(time.Millisecond) {
		err := l.only(guardByte)
		if !errors.Is(err, unix.EAGAIN) || time.Now().After(until) {
			return err
		}
	}
}

func (l *locks) unguard() error { return l.set(unix.F_UNLCK, l.base+guardByte, 1) }

func setByte(s *Setting) int64 { return setBytes + int64(slices.Index(settings, s)) }

func roleByte(role string) int64 { return roleBytes + int64(slices.Index(roles, role)) }

// share holds a setting together with others.
func (l *locks) share(s *Setting) error {
	if err := l.set(unix.F_RDLCK, l.base+setByte(s), 1); err != nil {
		return err
	}
	l.mine[s] = true
	return nil
}

func (l *locks) unlock(s *Setting) error {
	delete(l.mine, s)
	return l.set(unix.F_UNLCK, l.base+setByte(s), 1)
}

// held reports whether somebody holds a setting: this program or another.
func (l *locks) held(s *Setting) (bool, error) {
	if l.mine[s] {
		return true, nil
	}
	return l.others(setByte(s))
}

// others reports whether another program has locked a byte.
func (l *locks) others(at int64) (bool, error) {
	k := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: l.base + at, Len: 1}
	if err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_GETLK, &k); err != nil {
		return false, os.NewSyscallError("look at "+l.file.Name(), err)
	}
	return k.Type != unix.F_UNLCK, nil
}

// A Lock makes its holder the only one of its role that registers endpoints in its
// network namespace. It vanishes with the process that holds it.
type Lock struct{ locks *locks }

// LockRole does not wait: it fails with ErrInUse where another program has the lock. Only
// programs with the same directory of state are found.
func LockRole(dir, role string) (*Lock, error) {
	l, err := openLocks(dir)
	if err != nil {
		return nil, err
	}
	err = l.only(roleByte(role))
	if errors.Is(err, unix.EAGAIN) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return &Lock{l}, nil
}

// Release gives the lock back; nil has none.
func (l *Lock) Release() {
	if l != nil {
		_ = l.locks.close()
	}
}
