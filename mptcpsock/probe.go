package mptcpsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// ProbeMPTCP reports whether this process gets MPTCP sockets in the network
// namespace of the calling thread: nil, or an error that is one of
// ErrNotSupported, ErrDisabled and ErrDenied, or that came from another cause
// and decides nothing. It is not cached: net.mptcp.enabled belongs to the
// namespace and can change.
func ProbeMPTCP() error {
	s, err := probeSocket()
	if err != nil {
		return err
	}
	return os.NewSyscallError("close", unix.Close(s))
}

// ProbeFullInfo reports whether MPTCP_FULL_INFO is there, which gives subflows
// their ids: nil, ErrNotSupported (Linux before 6.5), or, undecided, an error of
// ProbeMPTCP. The decision is cached.
func ProbeFullInfo() error { return fullInfo.result() }

// ProbeUserspacePM reports whether the kernel lets a process manage paths: nil,
// ErrNotSupported (Linux before 5.19), or another error, undecided. The decision
// is cached. It says nothing about the capability that it takes.
func ProbeUserspacePM() error { return userspacePM.result() }

// ProbePathManagerSysctl reports whether the path manager is chosen with
// net.mptcp.path_manager: nil, ErrNotSupported (Linux before 6.15, which has
// net.mptcp.pm_type), or another error, undecided. The decision is cached.
func ProbePathManagerSysctl() error { return pathManagerSysctl.result() }

var (
	fullInfo = probe{feature: "MPTCP_FULL_INFO", minKernel: "6.5", ask: askFullInfo}

	userspacePM = probe{
		feature: "the user-space path manager", minKernel: "5.19",
		ask: func() error { return askSysctl("pm_type") },
	}

	pathManagerSysctl = probe{
		feature: "net.mptcp.path_manager", minKernel: "6.15",
		ask: func() error { return askSysctl("path_manager") },
	}
)

// errLacking is what a probe's ask returns, wrapped, when the kernel lacks the
// feature; any other error leaves the question open.
var errLacking = errors.New("lacking")

// A probe asks the kernel for a feature until it knows. What kernels have does
// not change while they run, so the answer is kept.
type probe struct {
	feature   string
	minKernel string
	ask       func() error

	mu    sync.Mutex
	known bool
	err   error
}

// result returns nil, a *NotSupportedError, or, undecided, what got in the way.
func (p *probe) result() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.err
	}
	err := p.ask()
	switch {
	case err == nil:
		p.known = true
	case errors.Is(err, errLacking):
		p.known = true
		p.err = &NotSupportedError{Feature: p.feature, MinKernel: p.minKernel}
	default:
		return fmt.Errorf("mptcpsock: cannot tell whether the kernel has %s: %w", p.feature, err)
	}
	return p.err
}

// probeSocket returns an MPTCP socket of the family that the host has.
func probeSocket() (int, error) {
	s, err := newSocket(unix.AF_INET6)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		s, err = newSocket(unix.AF_INET)
	}
	return s, err
}

// askFullInfo tries the option on a socket that is not connected.
func askFullInfo() error {
	s, err := probeSocket()
	if err != nil {
		return err
	}
	defer unix.Close(s)
	var b [uapi.FullInfoSize]byte
	uapi.FullInfoRequest{}.Put(b[:])
	_, err = getsockopt(s, uapi.SolMPTCP, uapi.OptFullInfo, b[:])
	if noSuchOption(err) {
		return errLacking
	}
	return err
}

// sysctlDir holds the sysctls of the calling thread's network namespace.
const sysctlDir = "/proc/sys/net/mptcp/"

// askSysctl looks for a sysctl next to one that all kernels with MPTCP have,
// lest a missing /proc be taken for a missing feature.
func askSysctl(name string) error {
	if _, err := os.Stat(sysctlDir + "enabled"); err != nil {
		return err
	}
	_, err := os.Stat(sysctlDir + name)
	if errors.Is(err, fs.ErrNotExist) {
		return errLacking
	}
	return err
}
