package mptcpsock

import (
	"errors"
	"fmt"
	"io/fs"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/pathctl/mptcppm"
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
