package rtowatch

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that eBPF takes, each with what it is for.
// CAP_SYS_ADMIN stands for all of them (bpf_token_capable, kernel/bpf/token.c).
var needed = []struct {
	number int
	name   string
}{
	{unix.CAP_BPF, "CAP_BPF"},             // to load a program
	{unix.CAP_PERFMON, "CAP_PERFMON"},     // to read kernel structures in it
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, // for a program about sockets
}

// explainDenial says why the kernel refused eBPF with err, naming the
// capabilities that are missing.
func explainDenial(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	if missing := missingCapabilities(effectiveCapabilities()); len(missing) > 0 {
		return fmt.Errorf("%w: eBPF needs %s", ErrPrivileges, strings.Join(missing, " and "))
	}
	return fmt.Errorf("%w: the kernel refuses eBPF although the capabilities are there; do they come from a user namespace, or is there a seccomp filter or lockdown? %w", ErrPrivileges, err)
}

// explainCgroup says why the process has no cgroup of its own.
func explainCgroup(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%w: no cgroup of our own (with systemd, set Delegate=yes): %w", ErrPrivileges, err)
	}
	return fmt.Errorf("no cgroup of our own: %w", err)
}

// missingCapabilities names those of needed that are not in a set.
func missingCapabilities(effective uint64) []string {
	if effective&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return nil
	}
	var missing []string
	for _, c := range needed {
		if effective&(1<<c.number) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// effectiveCapabilities returns those of the calling thread, none when they
// cannot be read.
func effectiveCapabilities() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return 0
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32
}
