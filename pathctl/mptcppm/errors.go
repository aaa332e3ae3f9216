package mptcppm

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/mdlayher/netlink"
)

// What an operation can fail with, for errors.Is. Every error of a command is
// an *OpError, which matches at most one of these, the kernel's errno
// (syscall.EINVAL…) and what the comment names.
var (
	// ErrPermission: CAP_NET_ADMIN is missing in the socket's network namespace.
	// It is an fs.ErrPermission.
	ErrPermission error = &kind{"CAP_NET_ADMIN is missing", fs.ErrPermission}
	// ErrExists: an endpoint has that address or id already. It is an fs.ErrExist.
	ErrExists error = &kind{"the address or id is taken", fs.ErrExist}
	// ErrNotFound: no such endpoint, address id or subflow. It is an
	// fs.ErrNotExist.
	ErrNotFound error = &kind{"not found", fs.ErrNotExist}
	// ErrNoConnection: no MPTCP connection of this network namespace has the
	// token. It is an fs.ErrNotExist.
	ErrNoConnection error = &kind{"no connection has this token", fs.ErrNotExist}
	// ErrNotUserspace: the connection was created under the in-kernel path
	// manager, so user space cannot steer it.
	ErrNotUserspace error = &kind{text: "the in-kernel path manager owns this connection"}
	// ErrTooMany: the namespace has MaxEndpoints endpoints already.
	ErrTooMany error = &kind{text: "too many endpoints"}
	// ErrInvalid: an argument is out of its range. It is an fs.ErrInvalid.
	ErrInvalid error = &kind{"not valid", fs.ErrInvalid}
	// ErrNotSupported: the running kernel lacks this; see NotSupportedError. It is
	// an errors.ErrUnsupported.
	ErrNotSupported error = &kind{"not supported by this kernel", errors.ErrUnsupported}
	// ErrEventsLost: the kernel had more events than the socket's buffer could
	// hold (ENOBUFS), or one that could not be read. Read the state anew from the
	// sockets; the stream goes on with what happened afterwards.
	ErrEventsLost error = &kind{text: "events were lost"}

	errMalformed error = &kind{text: "malformed message from the kernel"}
)

// kind is an error that is one of the standard library's too, without its text.
type kind struct {
	text string
	is   error
}

func (k *kind) Error() string { return k.text }

func (k *kind) Unwrap() error { return k.is }

// OpError is an operation that failed.
type OpError struct {
	// Op is the operation: "add endpoint".
	Op string
	// On is what it was about: an endpoint, a token, a pair of addresses. It may
	// be empty.
	On string
	// Kind is one of the package's errors, or nil if none of them fits.
	Kind error
	// Detail is the kernel's own explanation (extended acknowledgement), for
	// people: its wording differs between versions. It may be empty.
	Detail string
	// Err is what the system said: a syscall.Errno for an answer of the kernel,
	// a context's error, os.ErrDeadlineExceeded, fs.ErrClosed.
	Err error
}

// Error says what failed, on what, and why.
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString("mptcp_pm: ")
	b.WriteString(e.Op)
	if e.On != "" {
		b.WriteString(" " + e.On)
	}
	sep := ": "
	if e.Kind != nil {
		b.WriteString(sep + e.Kind.Error())
		sep = "; "
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, "%skernel: %q", sep, e.Detail)
		sep = "; "
	}
	if e.Err != nil {
		b.WriteString(sep + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives errors.Is and errors.As both the kind and the cause.
func (e *OpError) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// NotSupportedError says what the kernel lacks. It matches ErrNotSupported and
// errors.ErrUnsupported.
type NotSupportedError struct {
	// Feature is what was asked for.
	Feature string
	// MinKernel is the first upstream version that has it, as "5.19".
	MinKernel string
}

func (e *NotSupportedError) Error() string {
	return fmt.Sprintf("%s needs Linux %s or later, with CONFIG_MPTCP", e.Feature, e.MinKernel)
}

// Unwrap makes the error an ErrNotSupported.
func (e *NotSupportedError) Unwrap() error { return ErrNotSupported }

// fail makes the OpError of an answer, or of the failure to get one. sent is
// the attributes of the request.
func (op operation) fail(sent []byte, err error) error {
	e := &OpError{Op: op.name, On: op.about(), Err: err}
	var nl *netlink.OpError
	if !errors.As(err, &nl) {
		return e
	}
	e.Err, e.Detail = nl.Err, nl.Message
	errno, ok := nl.Err.(syscall.Errno) // never wrapped in an answer, see netlink.OpError
	if !ok {
		return e
	}
	e.Kind = op.classify(answer{errno: errno, attr: attributeAt(sent, nl.Offset), text: nl.Message})
	return e
}

// answer is what the kernel says about a failed request: the number, the
// top-level attribute that it blames (0 for none), and a text.
type answer struct {
	errno syscall.Errno
	attr  uint16
	text  string
}

// What EINVAL means is told by the text alone in two places
// (net/mptcp/pm_userspace.c, pm_kernel.c): the number and the blamed attribute
// are those of an unknown token and of an unknown endpoint. Should the wording
// change, ErrNoConnection and ErrNotFound come instead, and the test of errors
// against the running kernel fails.
const (
	textKernelPM  = "userspace PM not selected" // 6.1 puts "invalid request; " before it
	textAddrFlags = "invalid addr flags"
	// Linux 6.1 says it of all endpoints that cannot be added, later ones by number.
	textTooManyOrDouble = "too many addresses or duplicate one"
)

// classify finds the kind of an answer. The errors test holds it against the
// running kernel.
func (op operation) classify(a answer) error {
	switch a.errno {
	case syscall.EPERM, syscall.EACCES:
		return ErrPermission
	case syscall.EOPNOTSUPP:
		return &NotSupportedError{Feature: op.name, MinKernel: op.since}
	case syscall.EEXIST, syscall.EBUSY:
		return ErrExists
	case syscall.ERANGE:
		return ErrTooMany
	case syscall.ESRCH, syscall.ENOENT:
		return ErrNotFound
	case syscall.EINVAL:
		return op.classifyInvalid(a)
	}
	return nil
}

// classifyInvalid takes EINVAL apart, the kernel's answer to nearly everything.
func (op operation) classifyInvalid(a answer) error {
	switch {
	case strings.Contains(a.text, textKernelPM):
		return ErrNotUserspace
	case a.attr == attrToken:
		return ErrNoConnection
	case op.looksUp && !strings.Contains(a.text, textAddrFlags):
		return ErrNotFound
	}
	return ErrInvalid
}

// headersLen is what precedes the attributes of a request: nlmsghdr and
// genlmsghdr. Offsets in answers count from there.
const headersLen = 16 + 4

// attributeAt gives the type of the top-level attribute of a request that an
// offset points at or into, 0 for none.
func attributeAt(attrs []byte, offset int) uint16 {
	at := offset - headersLen
	if at < 0 {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return 0
	}
	for end := 0; ad.Next(); {
		end += 4 + (len(ad.Bytes())+3)&^3
		if at < end {
			return ad.Type()
		}
	}
	return 0
}
