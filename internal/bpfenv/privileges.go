package bpfenv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
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

// ExplainDenial says why the kernel refused eBPF with err, naming the
// capabilities that are missing. The error then matches ErrPrivileges; any other
// one is returned as it is.
func ExplainDenial(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	if missing := MissingCapabilities(); len(missing) > 0 {
		return fmt.Errorf("%w: eBPF needs %s", ErrPrivileges, strings.Join(missing, " and "))
	}
	return fmt.Errorf("%w: the kernel refuses eBPF although the capabilities are there; do they come from a user namespace, or is there a seccomp filter or lockdown? %w", ErrPrivileges, err)
}

// ClassifyLoad tells a kernel that refuses a program from one that refuses us.
// The verifier speaks of helpers and types that it does not know.
func ClassifyLoad(err error) error {
	var verifier *ebpf.VerifierError
	if errors.Is(err, ebpf.ErrNotSupported) || (errors.As(err, &verifier) && !errors.Is(err, unix.EPERM)) {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return err
}

// MissingCapabilities names those that eBPF takes and the calling thread lacks.
func MissingCapabilities() []string { return missingCapabilities(effectiveCapabilities()) }

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
