package hoststate

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse: another program of the same role registers endpoints in this
// network namespace.
var ErrInUse = errors.New("another mpproxy of this role manages subflows in this network namespace: stop it, or leave it to that one")

// lockPrefix is how the locks' names begin; '@' stands for the NUL of an
// abstract address, here and in /proc/net/unix.
const lockPrefix = "@mpproxy/subflows-"

// A Lock makes its holder the only one of its role that registers endpoints
// in its network namespace. It is an abstract Unix address (unix(7)), which
// belongs to one namespace and vanishes with the process that holds it.
type Lock struct{ fd int }

// LockRole does not wait: it fails with ErrInUse where another program has the lock.
func LockRole(role string) (*Lock, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the %s: %w", role, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: lockPrefix + role}); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("taking the lock of the %s: %w", role, err)
	}
	return &Lock{fd}, nil
}

// Release gives the lock back; nil has none.
func (l *Lock) Release() {
	if l != nil {
		_ = unix.Close(l.fd)
	}
}

// HeldRoles lists the roles whose locks are held in this network namespace. It
// takes none: a program that starts just then must get its own.
func HeldRoles() ([]string, error) {
	b, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, fmt.Errorf("looking for other programs of ours: %w", err)
	}
	var roles []string
	for line := range strings.Lines(string(b)) {
		if _, role, ok := strings.Cut(strings.TrimSpace(line), " "+lockPrefix); ok {
			roles = append(roles, role)
		}
	}
	return roles, nil
}
