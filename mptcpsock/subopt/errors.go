package subopt

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

var (
	// ErrNotPermitted says that the process may not use eBPF, and which
	// capabilities it lacks. It is an fs.ErrPermission.
	ErrNotPermitted = bpfenv.ErrPrivileges
	// ErrNotSupported says that the kernel lacks what this takes, or that no
	// kernel can do it. It is an errors.ErrUnsupported.
	ErrNotSupported = bpfenv.ErrNotSupported
	// ErrNoCgroup2 says that SetOnConnect finds no cgroup v2 in which the
	// process is. It is an errors.ErrUnsupported.
	ErrNoCgroup2 = bpfenv.ErrNoCgroup2
	// ErrNoSubflow says that there is no TCP socket between the two ends in
	// the network namespace: it has ended, or never was.
	ErrNoSubflow = errors.New("no such subflow")
	// ErrInvalid says that a value, an address or an option is none, or that
	// the kernel refuses the value. It is an fs.ErrInvalid.
	ErrInvalid error = &invalid{}
	// ErrUnknownCongestion says that the kernel has no congestion control of
	// that name, or has not loaded it.
	ErrUnknownCongestion = errors.New("the kernel has no such congestion control loaded (see net.ipv4.tcp_available_congestion_control; load one with: modprobe tcp_NAME)")
	// ErrClosed says that the Setter is closed. It is net.ErrClosed.
	ErrClosed = net.ErrClosed
)

type invalid struct{}

func (*invalid) Error() string { return "invalid" }

func (*invalid) Unwrap() error { return fs.ErrInvalid }

// An Error is what became of a Set, a Get or a rule.
type Error struct {
	// Op is "set", "get" or "set on connect".
	Op     string
	Option Option
	// Local and Remote are the ends as they were given; those of a rule may
	// be invalid.
	Local, Remote netip.AddrPort
	// Err is the reason, one of this package's.
	Err error
}

// Error says what failed, on what, and why.
func (e *Error) Error() string {
	return fmt.Sprintf("subopt: %s %v of subflow %s→%s: %v", e.Op, e.Option, endName(e.Local), endName(e.Remote), e.Err)
}

func endName(a netip.AddrPort) string {
	if a == (netip.AddrPort{}) {
		return "any"
	}
	return a.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// needs goes with errors of Open: what has to be there.
const needs = "needs Linux 6.1 with CONFIG_DEBUG_INFO_BTF, CAP_BPF and CAP_PERFMON, and CAP_NET_ADMIN for those to come"

// explain says in words what the kernel answered to an option: 0 is nil, errors
// are negative.
func explain(o Option, level uint32, answer int32) error {
	errno := unix.Errno(-answer)
	switch {
	case answer >= 0:
		return nil
	case level == unix.IPPROTO_IP && errno == unix.EINVAL: // sol_ip_sockopt, net/core/filter.c
		return fmt.Errorf("%w: it does not let IP_TOS be set on this subflow, which runs over IPv4 on an IPv6 socket; set it on the whole connection, or use a newer kernel: %w", ErrNotSupported, errno)
	case o == Congestion && errno == unix.ENOENT:
		return fmt.Errorf("%w: %w", ErrUnknownCongestion, errno)
	case errno == unix.EINVAL:
		return fmt.Errorf("%w: the kernel refuses the value: %w", ErrInvalid, errno)
	case errno == unix.ENOPROTOOPT, errno == unix.EOPNOTSUPP:
		return fmt.Errorf("%w: %w", ErrNotSupported, errno)
	}
	return errno
}
