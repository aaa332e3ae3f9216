// Package linux tells tests which kernel they run on, so that they expect of each what
// it can do: docs/kernels.md lists what differs.
package linux

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Since reports whether the running kernel is of that version or later.
func Since(major, minor int) bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return true // a test that fails says more than one that is left out
	}
	return since(unix.ByteSliceToString(name.Release[:]), major, minor)
}

func since(release string, major, minor int) bool {
	var has, hasMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &has, &hasMinor); err != nil {
		return true
	}
	return has > major || has == major && hasMinor >= minor
}

// ListenerEvents reports whether the kernel tells of MPTCP sockets that listen.
func ListenerEvents() bool { return Since(6, 2) }
