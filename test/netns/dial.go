package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// DialContext connects from the host with plain TCP or UDP, to an address and
// not a name. Dials run side by side and do not occupy the host's thread.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dial(ctx, net.Dialer{}, network, address)
}

// DialFrom is DialContext with TCP from one of the host's addresses.
func (h *Host) DialFrom(ctx context.Context, from netip.Addr, address string) (net.Conn, error) {
	return h.dial(ctx, net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}, "tcp", address)
}

func (h *Host) dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil && network != "unix" {
		return nil, fmt.Errorf("netns: dial from host %s: want an address and a port: %w", h.name, err)
	}
	d.SetMultipathTCP(false)
	var conn net.Conn
	err := h.visit(func() error {
		var err error
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Dial is DialContext without a deadline of its own: the kernel's.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// HTTPTransport returns a transport that dials from the host, without proxy and
// without compression. Its owner calls CloseIdleConnections.
func (h *Host) HTTPTransport() *http.Transport {
	return &http.Transport{
		DialContext:        h.DialContext,
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
	}
}

// visit runs fn on a thread that is in the host's network namespace for as long.
func (h *Host) visit(fn func() error) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return fmt.Errorf("host %s: %w", h.name, ErrClosed)
	}
	target, err := unix.FcntlInt(h.nsFile.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("netns: %w", err)
	}
	defer unix.Close(target)
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns: enter host %s: %w", h.name, err)
	}
	err = fn()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, and ends with its goroutine.
		return errors.Join(err, fmt.Errorf("netns: leave host %s: %w", h.name, back))
	}
	runtime.UnlockOSThread()
	return err
}
