package control

import (
	"errors"
	"fmt"
	"io/fs"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/pathctl/mptcppm"
)

var (
	// ErrNotPermitted says that a privilege is missing; the error names it. It
	// is an fs.ErrPermission.
	ErrNotPermitted = fmt.Errorf("not permitted: %w", fs.ErrPermission)
	// ErrNoController says that an operation needs a Controller, and that the
	// connection has none, or one that is closed.
	ErrNoController = errors.New("needs a Controller: open one with OpenController and give it to the Dialer or ListenConfig")
	// ErrKernelManaged says that the connection began while the kernel's own
	// path manager was in charge, so that no program can change its subflows.
	ErrKernelManaged = errors.New("the kernel's path manager has this connection since its beginning: open the Controller first")
	// ErrSteered says that a service, profile or mode decides about the
	// connection's subflows: Conn.SetManual takes them back.
	ErrSteered = errors.New("a mode steers the subflows of this connection")
	// ErrNotEstablished says that a subflow, or the connection, is still being
	// opened, or is closing.
	ErrNotEstablished = errors.New("not established")
	// ErrLastSubflow says that the connection would be left without a subflow.
	ErrLastSubflow = errors.New("it is the last subflow: open another one first, or close the connection")
	// ErrUnknownAddress says that a connection does not use a local address. It
	// is an fs.ErrNotExist.
	ErrUnknownAddress = fmt.Errorf("the connection does not use this address: %w", fs.ErrNotExist)
	// ErrSubflowFailed says that a subflow could not be established. The error
	// is also the syscall.Errno that the kernel gave, if it gave one.
	ErrSubflowFailed = errors.New("the subflow was not established")
	// ErrEventsLost says that events came faster than they were read: look at
	// the subflows anew.
	ErrEventsLost = errors.New("events were lost")
)

// translate gives an error of the packages below the meaning that this one
// documents. What it has none for stays as it is.
func translate(err error) error {
	var kind error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mptcppm.ErrNotSupported) && !errors.Is(err, ErrNotSupported):
		kind = ErrNotSupported
	case errors.Is(err, ErrNotPermitted), errors.Is(err, ErrNotSupported):
	case errors.Is(err, subopt.ErrNotSupported):
		kind = ErrNotSupported
	case errors.Is(err, subopt.ErrNotPermitted): // it says which privileges
		kind = ErrNotPermitted
	case errors.Is(err, subopt.ErrNoSubflow):
		kind = ErrUnknownSubflow
	case errors.Is(err, subopt.ErrInvalid):
		kind = ErrInvalid
	case errors.Is(err, mptcppm.ErrPermission), errors.Is(err, fs.ErrPermission):
		kind = fmt.Errorf("%w, needs CAP_NET_ADMIN in the network namespace", ErrNotPermitted)
	case errors.Is(err, mptcppm.ErrNotUserspace):
		kind = ErrKernelManaged
	case errors.Is(err, mptcppm.ErrNotFound):
		kind = ErrUnknownSubflow
	case errors.Is(err, mptcppm.ErrInvalid):
		kind = ErrInvalid
	case errors.Is(err, fs.ErrClosed):
		kind = ErrNoController
	}
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}
