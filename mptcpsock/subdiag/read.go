package subdiag

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timeout bounds the wait for the kernel, which answers before the system call
// that asks returns.
const timeout = time.Second

// Read asks for the socket between two ends, IPv4 addresses mapped or not. It
// fails with ErrNoSocket.
func Read(ctx context.Context, local, remote netip.AddrPort) (Result, error) {
	r, err := read(ctx, unmap(local), unmap(remote))
	if err != nil {
		return Result{}, fmt.Errorf("read the options of %v to %v: %w", local, remote, err)
	}
	return r, nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func read(ctx context.Context, local, remote netip.AddrPort) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if !local.Addr().IsValid() || local.Addr().Is4() != remote.Addr().Is4() {
		return Result{}, ErrNoSocket
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return Result{}, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(timeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return Result{}, os.NewSyscallError("setsockopt", err)
	}
	const sequence = 1
	if err := unix.Sendto(fd, encodeRequest(local, remote, sequence), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Result{}, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 8<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return Result{}, os.NewSyscallError("recvfrom", err)
	}
	return decodeAnswer(answer[:n], sequence)
}
