package subopt_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns"
)

// nobody returns an address on the client's first link that is nobody's, to which
// frames are sent nevertheless.
func (w world) nobody(t *testing.T, family string) netip.Addr {
	t.Helper()
	a := map[string]netip.Addr{"IPv4": addr("192.0.2.99"), "IPv6": addr("2001:db8:1::99")}[family]
	must(t, w.client.Do(testContext(t), func() error {
		i, err := netlink.LinkByName("one0")
		if err != nil {
			return err
		}
		return netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: i.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: a.AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 99},
		})
	}))
	return a
}

// sniff listens on a link. The function that it returns tells the class of service
// of a segment that an end has sent since, if there was one.
func (w world) sniff(t *testing.T, h *netns.Host, name string) func(end) (class uint8, ok bool) {
	t.Helper()
	var fd int
	must(t, h.Do(testContext(t), func() error {
		i, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		all := htons(unix.ETH_P_ALL)
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all)); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Attrs().Index})
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func(e end) (class uint8, ok bool) {
		t.Helper()
		for b := make([]byte, 2048); !ok; {
			n, _, err := unix.Recvfrom(fd, b, 0)
			if err == unix.EAGAIN {
				return 0, false
			}
			must(t, err)
			class, ok = classOf(b[:n], e)
		}
		return class, ok
	}
}

func htons(n uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(n >> 8), byte(n)})
}

// classOf reads the type of service of a TCP segment that an end sends.
func classOf(b []byte, e end) (class uint8, ok bool) {
	var src, dst netip.Addr
	var tcp []byte
	switch {
	case len(b) >= 40 && b[0] == 0x45 && b[9] == unix.IPPROTO_TCP:
		class, tcp = b[1], b[20:]
		src, dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	case len(b) >= 60 && b[0]>>4 == 6 && b[6] == unix.IPPROTO_TCP:
		class, tcp = b[0]<<4|b[1]>>4, b[40:]
		src, dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	default:
		return 0, false
	}
	from := netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	to := netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	return class, from == e.local && to == e.remote
}
