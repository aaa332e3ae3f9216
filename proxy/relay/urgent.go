package relay

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// UrgentInline has urgent data (RFC 9293 §3.8.5) of a plain TCP socket read in its place
// among the other bytes. Without it the byte would be missing at the other end: Run does
// not ask for it. Connections that a listener accepts have the option from it.
func UrgentInline(c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt SO_OOBINLINE", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1))
	})
	return errors.Join(controlErr, err)
}
