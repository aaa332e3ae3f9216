package rtowatch

import (
	"errors"
	"fmt"
	"io/fs"
)

var (
	// ErrEventsLost says that more events came than the buffer could hold.
	// Read the state of the subflows from their sockets; later events follow.
	// Errors that match it are *LostError.
	ErrEventsLost = errors.New("rtowatch: events were lost")
	// ErrPrivileges says that the process may not use eBPF or change its
	// cgroup. It is an fs.ErrPermission.
	ErrPrivileges error = &kind{"not permitted", fs.ErrPermission}
	// ErrNoCgroup2 says that there is no cgroup v2 in which the process is:
	// none is mounted, or the mount does not show it.
	ErrNoCgroup2 error = &kind{"no cgroup v2 (mount one with: mount -t cgroup2 none /sys/fs/cgroup/unified)", errors.ErrUnsupported}
	// ErrNotSupported says that the kernel lacks what the eBPF program needs.
	// It is an errors.ErrUnsupported.
	ErrNotSupported error = &kind{"not supported by this kernel", errors.ErrUnsupported}
	// ErrSwitchedOff says that the configuration rules a mechanism out.
	ErrSwitchedOff = errors.New("switched off by the configuration")
)

// A kind is an error that is one of the standard library's too, without its
// text.
type kind struct {
	text string
	is   error
}

func (k *kind) Error() string { return k.text }

func (k *kind) Unwrap() error { return k.is }

// A LostError is a gap in the events.
type LostError struct {
	// Count is how many events were lost since the last gap that was
	// reported, at least 1.
	Count uint64
}

// Error says how many events were lost.
func (e *LostError) Error() string { return fmt.Sprintf("%v: %d", ErrEventsLost, e.Count) }

// Unwrap makes the error an ErrEventsLost.
func (e *LostError) Unwrap() error { return ErrEventsLost }
