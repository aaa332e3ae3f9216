package link

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// port is one end of an emulated link: what the kernel sends out of the
// interface is read from it, what is written to it arrives at the interface.
// Reads and writes do not block.
type port struct {
	fd      int
	carrier func(up bool) error
}

func (p *port) close() { unix.Close(p.fd) }

// openTAP makes the TAP interface in the network namespace of the calling
// thread. It goes away with its descriptor.
func openTAP(name string) (*port, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("link: open /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		// No IFF_VNET_HDR: the kernel then segments and checksums for us, and
		// each read is one frame as it would be on the wire.
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("link: create TAP interface %s: %w", name, err)
	}
	carrier := func(up bool) error {
		state := int32(0)
		if up {
			state = 1
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETCARRIER, uintptr(unsafe.Pointer(&state)))
		if errno != 0 {
			return fmt.Errorf("link: set carrier of %s: %w", name, errno)
		}
		return nil
	}
	return &port{fd: fd, carrier: carrier}, nil
}
