package netpath

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// lockName is an abstract Unix address (unix(7)): it belongs to one network
// namespace, as routes do, and it vanishes with the process that holds it.
const lockName = "@mpproxy/source-routing"

// A lock makes its holder the only one in its network namespace that changes
// source routing.
type lock struct{ fd int }

// acquireLock does not wait: when another process holds the lock it returns
// ErrInUse.
func acquireLock(nsFD int) (*lock, error) {
	var l *lock
	err := inNetNS(nsFD, func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open lock socket: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: lockName}); err != nil {
			_ = unix.Close(fd)
			if errors.Is(err, unix.EADDRINUSE) {
				return ErrInUse
			}
			return fmt.Errorf("bind lock socket %s: %w", lockName, err)
		}
		l = &lock{fd: fd}
		return nil
	})
	return l, err
}

func (l *lock) release() {
	if l != nil {
		_ = unix.Close(l.fd)
	}
}

// inNetNS runs f on a thread in the namespace fd, or right here when fd is 0.
func inNetNS(fd int, f func() error) error {
	if fd == 0 {
		return f()
	}
	done := make(chan error, 1)
	go runInNetNS(fd, f, done)
	return <-done // f does not block
}

// runInNetNS leaves its thread locked, so that the runtime ends it: nobody else
// may find himself in that namespace.
func runInNetNS(fd int, f func() error, done chan<- error) {
	runtime.LockOSThread()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		done <- fmt.Errorf("enter network namespace: %w", err)
		return
	}
	done <- f()
}
