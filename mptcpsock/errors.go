package mptcpsock

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

var (
	// ErrNotSupported says that the running kernel lacks a feature. Errors
	// that match it are *NotSupportedError, and match errors.ErrUnsupported
	// as well.
	ErrNotSupported = errors.New("not supported")
	// ErrDisabled says that the kernel has MPTCP, but that it is switched
	// off in this network namespace.
	ErrDisabled = errors.New("MPTCP is switched off in this network namespace (net.mptcp.enabled=0; switch it on with: sysctl -w net.mptcp.enabled=1)")
	// ErrDenied says that a security policy (SELinux, seccomp, a BPF
	// program on the cgroup) denies MPTCP sockets to this process.
	ErrDenied = errors.New("a security policy denies MPTCP sockets to this process")
	// ErrNotMultipath says that a connection is plain TCP.
	ErrNotMultipath = errors.New("connection is plain TCP, not Multipath TCP")
	// ErrConnected says that something can be set before the connection only.
	ErrConnected = errors.New("can be set before the connection is established only")
	// ErrUnknownSubflow says that the connection has no subflow of that id. It
	// is an fs.ErrNotExist.
	ErrUnknownSubflow = fmt.Errorf("no such subflow: %w", fs.ErrNotExist)
	// ErrAddressFamily says that two addresses are of different families, or
	// that the connection's socket or peer lacks the family.
	ErrAddressFamily = errors.New("wrong address family")
	// ErrInvalid says that an argument is out of its range. It is an
	// fs.ErrInvalid.
	ErrInvalid = fmt.Errorf("not valid: %w", fs.ErrInvalid)
)

// An OpError is an operation on a connection's subflows that failed.
type OpError struct {
	Op    string     // "open subflow"
	Token uapi.Token // of the connection; 0 when it is not known
	On    string     // what it was about, a pair of addresses or an id; may be empty
	Err   error
}

// Error says what failed, on what, and why.
func (e *OpError) Error() string {
	s := "mptcpsock: " + e.Op
	if e.On != "" {
		s += " " + e.On
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// NotSupportedError says what the running kernel lacks, and since when kernels
// have it. errors.Is(err, ErrNotSupported) holds.
type NotSupportedError struct {
	// Feature is the name of the feature, for people.
	Feature string
	// MinKernel is the first Linux release that has it, "6.5"; empty when none
	// has.
	MinKernel string
	// Err is the kernel's answer; it may be nil.
	Err error
}

// Error says what is lacking and what has it.
func (e *NotSupportedError) Error() string {
	s := e.Feature + " is not supported by any Linux release so far"
	if e.MinKernel != "" {
		s = fmt.Sprintf("%s is not supported, needs Linux %s", e.Feature, e.MinKernel)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the kernel's answer.
func (e *NotSupportedError) Unwrap() error { return e.Err }

// Is reports whether target is ErrNotSupported or errors.ErrUnsupported.
func (e *NotSupportedError) Is(target error) bool {
	return target == ErrNotSupported || target == errors.ErrUnsupported
}

// socketError says in words why socket(2) refused IPPROTO_MPTCP. Errors that do
// not mean that MPTCP is unavailable, such as EMFILE, are passed through:
// unavailable tells them apart.
func socketError(err error) error {
	switch {
	case errors.Is(err, unix.ENOPROTOOPT): // mptcp_init_sock: net.mptcp.enabled=0
		return fmt.Errorf("%w: %w", ErrDisabled, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, unix.EPROTONOSUPPORT), // built without CONFIG_MPTCP
		errors.Is(err, unix.ESOCKTNOSUPPORT),
		errors.Is(err, unix.EINVAL): // before 5.6 protocol 262 was out of range
		return &NotSupportedError{Feature: "MPTCP", MinKernel: "5.6 with CONFIG_MPTCP", Err: err}
	}
	return err
}

// unavailable reports whether err, of socketError, says that this host gives
// this process no MPTCP socket, so that only plain TCP is left.
func unavailable(err error) bool {
	return errors.Is(err, ErrDisabled) || errors.Is(err, ErrDenied) || errors.Is(err, ErrNotSupported)
}

// IsTemporary reports whether Accept may succeed when tried again later: the
// process or the host is short of descriptors or memory, or the connection in
// question was gone before it could be accepted (accept(2)). A caller waits a
// little before it tries again after EMFILE, ENFILE, ENOBUFS and ENOMEM, which
// errors.Is tells.
func IsTemporary(err error) bool {
	for _, e := range []unix.Errno{
		unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM,
		unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.EINTR, unix.EAGAIN,
		unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET,
		unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
