package subopt_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A diagnosis is what the kernel's sock_diag says of a TCP socket, which is how
// ss(8) knows.
type diagnosis struct {
	congestion  string
	mark        uint32
	tos, tclass uint8
}

// Attributes of struct inet_diag_msg, include/uapi/linux/inet_diag.h.
const (
	diagCong, diagTOS, diagTClass, diagMark = 4, 5, 6, 15
	diagRequestSize, diagMsgSize            = 56, 72
)

// diagnose looks up a socket of the calling thread's network namespace by its
// ends.
func diagnose(local, remote netip.AddrPort) (diagnosis, error) {
	c, err := mdnetlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return diagnosis{}, err
	}
	defer c.Close()
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, diagRequestSize)
		request[0], request[1] = family, unix.IPPROTO_TCP
		request[2] = 1<<(diagCong-1) | 1<<(diagTOS-1) | 1<<(diagTClass-1)
		binary.NativeEndian.PutUint32(request[4:], 0xfff) // all states
		answers, err := c.Execute(mdnetlink.Message{
			Header: mdnetlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: mdnetlink.Request | mdnetlink.Dump},
			Data:   request,
		})
		if err != nil {
			return diagnosis{}, err
		}
		for _, m := range answers {
			l, r := diagEnds(m.Data)
			if l == local && r == remote {
				return decodeDiagnosis(m.Data[diagMsgSize:])
			}
		}
	}
	return diagnosis{}, fmt.Errorf("sock_diag knows no socket %v→%v", local, remote)
}

// diagEnds reads struct inet_diag_sockid behind the four bytes of family, state,
// timer and retransmits.
func diagEnds(b []byte) (local, remote netip.AddrPort) {
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at:]))
		}
		return netip.AddrFrom16([16]byte(b[at:])).Unmap()
	}
	return netip.AddrPortFrom(addr(8), binary.BigEndian.Uint16(b[4:])), netip.AddrPortFrom(addr(24), binary.BigEndian.Uint16(b[6:]))
}

func decodeDiagnosis(b []byte) (d diagnosis, err error) {
	attributes, err := mdnetlink.NewAttributeDecoder(b)
	if err != nil {
		return diagnosis{}, err
	}
	for attributes.Next() {
		switch attributes.Type() {
		case diagCong:
			d.congestion = string(bytes.TrimRight(attributes.Bytes(), "\x00"))
		case diagTOS:
			d.tos = attributes.Uint8()
		case diagTClass:
			d.tclass = attributes.Uint8()
		case diagMark:
			d.mark = attributes.Uint32()
		}
	}
	return d, attributes.Err()
}

// diagnosis returns what the kernel says of the subflow of an end.
func (w world) diagnose(t testing.TB, e end) (d diagnosis) {
	t.Helper()
	must(t, w.host(e).Do(testContext(t), func() (err error) {
		d, err = diagnose(e.local, e.remote)
		return err
	}))
	return d
}
