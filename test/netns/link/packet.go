package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// middle is a nameless network namespace that holds the inner ends of two veth
// pairs, and a packet socket on each. It lives as long as its sockets.
type middle struct {
	handle *netlink.Handle
	ports  [2]*port
}

// newMiddle makes the namespace on a thread that is given up afterwards.
func newMiddle(c Config) (*middle, error) {
	type answer struct {
		m   *middle
		err error
	}
	answers := make(chan answer)
	go func() {
		runtime.LockOSThread()
		m := &middle{}
		err := m.build(c)
		if err != nil {
			for _, p := range m.ports {
				if p != nil {
					p.close()
				}
			}
			m.close()
		}
		answers <- answer{m, err}
	}()
	a := <-answers
	if a.err != nil {
		return nil, a.err
	}
	return a.m, nil
}

// build runs on a locked thread, which it moves to the new namespace.
func (m *middle) build(c Config) (err error) {
	if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("link: new network namespace: %w", err)
	}
	// The inner ends are wires, not hosts: they must say nothing themselves.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if m.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("link: netlink: %w", err)
	}
	for i, end := range []End{c.A, c.B} {
		inner := innerName(i)
		if err = addVeth(inner, End{Name: end.Name, NS: end.NS}, c.MTU); err != nil {
			return err
		}
		if err = disableOffloads(inner); err != nil {
			return err
		}
		if err = bringUp(inner, c.MTU); err != nil {
			return err
		}
		if m.ports[i], err = m.openPacket(inner); err != nil {
			return err
		}
	}
	return nil
}

// openPacket opens a packet socket on an inner interface.
func (m *middle) openPacket(name string) (*port, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("link: find %s: %w", name, err)
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("link: packet socket: %w", err)
	}
	// Bursts wait in the socket, and what is dropped there is not counted. The
	// forced size needs a privilege that a user namespace does not give.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // Linux 4.20
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("link: packet socket on %s: %w", name, err)
	}
	carrier := func(up bool) error {
		if !up {
			return m.handle.LinkSetDown(l)
		}
		err := m.handle.LinkSetUp(l)
		// The interface left an ENETDOWN at the socket, which would cost the
		// next frame.
		_, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		return err
	}
	return &port{fd: fd, carrier: carrier}, nil
}

func innerName(i int) string { return fmt.Sprintf("inner%d", i) }

// waitRunning waits for the inner ends, once the outer ones are up.
func (m *middle) waitRunning(ctx context.Context) error {
	for i := range m.ports {
		name := innerName(i)
		err := waitRunning(ctx, name, func() (netlink.Link, error) { return m.handle.LinkByName(name) })
		if err != nil {
			return err
		}
	}
	return nil
}

// close removes the pairs; the ports are closed by their owner before.
func (m *middle) close() {
	if m.handle == nil {
		return
	}
	// Deleting the pairs now makes the interfaces go before close returns; the
	// end of the namespace would do it some time later.
	for i := range m.ports {
		if l, err := m.handle.LinkByName(innerName(i)); err == nil {
			_ = m.handle.LinkDel(l)
		}
	}
	m.handle.Close()
}

// disableOffloads makes the kernel hand whole, checksummed frames of at most the
// MTU to an interface of the calling thread's namespace.
func disableOffloads(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("link: socket: %w", err)
	}
	defer unix.Close(fd)
	var errs []error
	for _, command := range []uint32{unix.ETHTOOL_STXCSUM, unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO} {
		value := struct{ cmd, data uint32 }{command, 0} // struct ethtool_value
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			pad  [16]byte // struct ifreq is 40 bytes
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		runtime.KeepAlive(&value)
		if errno != 0 {
			errs = append(errs, fmt.Errorf("link: ethtool command %#x on %s: %w", command, name, errno))
		}
	}
	return errors.Join(errs...)
}
