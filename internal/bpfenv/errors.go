package bpfenv

import (
	"errors"
	"io/fs"
)

var (
	// ErrPrivileges says that the process may not use eBPF or change its
	// cgroup. It is an fs.ErrPermission.
	ErrPrivileges error = &kind{"not permitted", fs.ErrPermission}
	// ErrNoCgroup2 says that there is no cgroup v2 in which the process is:
	// none is mounted, or the mount does not show it.
	ErrNoCgroup2 error = &kind{"no cgroup v2 (mount one with: mount -t cgroup2 none /sys/fs/cgroup/unified)", errors.ErrUnsupported}
	// ErrNotSupported says that the kernel lacks what an eBPF program needs.
	// It is an errors.ErrUnsupported.
	ErrNotSupported error = &kind{"not supported by this kernel", errors.ErrUnsupported}
)

// A kind is an error that is one of the standard library's too, without its
// text.
type kind struct {
	text string
	is   error
}

func (k *kind) Error() string { return k.text }

func (k *kind) Unwrap() error { return k.is }
