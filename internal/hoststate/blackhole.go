package hoststate

import (
	"errors"
	"fmt"
	"io/fs"
)

// Since Linux 6.12 the kernel switches MPTCP off for all programs of a network
// namespace, for an hour by default, when a few SYNs with MP_CAPABLE were lost and the
// first plain one got through (net.mptcp.blackhole_timeout, Documentation/networking/
// mptcp-sysctl.rst). Some seconds without any path look the same to it. We judge each
// path by itself and need no such protection.
const (
	blackholeTimeout = "/proc/sys/net/mptcp/blackhole_timeout"
	blackholeKey     = "mptcp.blackhole_timeout"
)

// KeepMPTCPOn keeps the kernel from switching MPTCP off after lost SYNs, and switches
// it on again where that has happened. What the setting was is on disk before.
func KeepMPTCPOn(j *Journal) error {
	before, err := readSysctl(blackholeTimeout)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // an older kernel, which does not do that
	case err != nil:
		return fmt.Errorf("reading when the kernel switches MPTCP off: %w", err)
	case before == "0":
		return nil
	}
	if err := changeSysctl(j, blackholeKey, blackholeTimeout, before, "0"); err != nil {
		return fmt.Errorf("keeping the kernel from switching MPTCP off: %w", err)
	}
	return nil
}

// ReturnBlackholeTimeout puts back what KeepMPTCPOn has changed.
func ReturnBlackholeTimeout(j *Journal) error { return returnSysctl(j, blackholeKey) }
