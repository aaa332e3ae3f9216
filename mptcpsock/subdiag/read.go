package subdiag

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// timeout bounds the wait for the kernel, which answers before the system call
// that asks returns.
const timeout = time.Second

// A Conn asks in the network namespace in which it was opened, from any thread.
type Conn struct {
	mu       sync.Mutex
	fd       int // -1: closed
	sequence uint32
}

// Open opens a Conn in the network namespace of the calling thread.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	tv := unix.NsecToTimeval(timeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
	}
	return &Conn{fd: fd}, nil
}

// Close ends the Conn. Closing twice is fine.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// Read asks for the socket between two ends, IPv4 addresses mapped or not. It fails
// with ErrNoSocket, and with net.ErrClosed after Close.
func (c *Conn) Read(ctx context.Context, local, remote netip.AddrPort) (Result, error) {
	r, err := c.read(ctx, unmap(local), unmap(remote))
	if err != nil {
		return Result{}, fmt.Errorf("read the options of %v to %v: %w", local, remote, err)
	}
	return r, nil
}

// Read asks once, in the network namespace of the calling thread; see Conn.Read.
func Read(ctx context.Context, local, remote netip.AddrPort) (Result, error) {
	c, err := Open()
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	return c.Read(ctx, local, remote)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (c *Conn) read(ctx context.Context, local, remote netip.AddrPort) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if !local.Addr().IsValid() || local.Addr().Is4() != remote.Addr().Is4() {
		return Result{}, ErrNoSocket
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return Result{}, net.ErrClosed
	}
	c.sequence++ // an answer that came too late for its question is none to this one
	if err := unix.Sendto(c.fd, encodeRequest(local, remote, c.sequence), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Result{}, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 8<<10)
	n, _, err := unix.Recvfrom(c.fd, answer, 0)
	if err != nil {
		return Result{}, os.NewSyscallError("recvfrom", err)
	}
	return decodeAnswer(answer[:n], c.sequence)
}
