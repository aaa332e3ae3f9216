package subflowbpf

import (
	"errors"
	"fmt"

	"mpproxy/internal/bpfenv"
)

var (
	// ErrEventsLost says that more events came than the buffer could hold.
	// Read the state of the subflows from their sockets; later events follow.
	// Errors that match it are *LostError.
	ErrEventsLost = errors.New("subflowbpf: events were lost")
	// ErrPrivileges says that the process may not use eBPF or change its
	// cgroup. It is an fs.ErrPermission.
	ErrPrivileges = bpfenv.ErrPrivileges
	// ErrNoCgroup2 says that there is no cgroup v2 in which the process is:
	// none is mounted, or the mount does not show it.
	ErrNoCgroup2 = bpfenv.ErrNoCgroup2
	// ErrNotSupported says that the kernel lacks what the eBPF program needs.
	// It is an errors.ErrUnsupported.
	ErrNotSupported = bpfenv.ErrNotSupported
	// ErrSwitchedOff says that the configuration rules a mechanism out.
	ErrSwitchedOff = errors.New("switched off by the configuration")
)

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
