package subdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attributes of an answer, include/uapi/linux/inet_diag.h.
const (
	attrCongestion   = 4
	attrTOS          = 5
	attrTrafficClass = 6
	attrMark         = 15
)

// Result is what the kernel said.
type Result struct {
	// Congestion is the name of the congestion control.
	Congestion string
	// TOS is the type of service of IPv4; TrafficClass that of IPv6, 0 on an
	// IPv4 socket.
	TOS, TrafficClass uint8
	// Mark is that of routing and packet filters. The kernel tells it to those
	// with CAP_NET_ADMIN: MarkKnown.
	Mark      uint32
	MarkKnown bool
	// Inode names the socket as /proc/PID/fd does. It is 0 when no program has it any more,
	// and on subflows that the kernel made.
	Inode uint32
}

// ErrNoSocket says that there is no TCP socket with these ends.
var ErrNoSocket = errors.New("no TCP socket has these ends")

// errMalformed is an answer that cannot be read.
var errMalformed = errors.New("malformed answer of sock_diag")

const (
	headerSize  = 16 // struct nlmsghdr
	requestSize = 56 // struct inet_diag_req_v2
	messageSize = 72 // struct inet_diag_msg
	noCookie    = 0xffffffff
)

// encodeRequest asks for one socket by its ends, IPv4 addresses unmapped.
func encodeRequest(local, remote netip.AddrPort, sequence uint32) []byte {
	b := make([]byte, headerSize+requestSize)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	r := b[headerSize:]
	r[0] = unix.AF_INET6
	if local.Addr().Is4() {
		r[0] = unix.AF_INET
	}
	r[1] = unix.IPPROTO_TCP
	r[2] = bit(attrCongestion) | bit(attrTOS) | bit(attrTrafficClass)
	binary.NativeEndian.PutUint32(r[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(r[8:], local.Port())
	binary.BigEndian.PutUint16(r[10:], remote.Port())
	copy(r[12:28], local.Addr().AsSlice())
	copy(r[28:44], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(r[48:], noCookie)
	binary.NativeEndian.PutUint32(r[52:], noCookie)
	return b
}

// bit asks for an attribute.
func bit(attribute int) byte { return 1 << (attribute - 1) }

// decodeAnswer reads the datagram that answers request number sequence.
func decodeAnswer(b []byte, sequence uint32) (Result, error) {
	for len(b) >= headerSize {
		length := int(binary.NativeEndian.Uint32(b))
		if length < headerSize || length > len(b) {
			return Result{}, errMalformed
		}
		if binary.NativeEndian.Uint32(b[8:]) == sequence {
			return decodeMessage(binary.NativeEndian.Uint16(b[4:]), b[headerSize:length])
		}
		b = b[min(align(length), len(b)):]
	}
	return Result{}, errMalformed
}

func decodeMessage(kind uint16, body []byte) (Result, error) {
	switch kind {
	case unix.NLMSG_ERROR:
		if len(body) < 4 {
			return Result{}, errMalformed
		}
		errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if errno == unix.ENOENT {
			return Result{}, ErrNoSocket
		}
		return Result{}, fmt.Errorf("sock_diag: %w", errno)
	case unix.SOCK_DIAG_BY_FAMILY:
		if len(body) < messageSize {
			return Result{}, errMalformed
		}
		r, err := decodeAttributes(body[messageSize:])
		r.Inode = binary.NativeEndian.Uint32(body[messageSize-4:])
		return r, err
	}
	return Result{}, errMalformed
}

func decodeAttributes(b []byte) (r Result, err error) {
	for len(b) >= 4 {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED
		if length < 4 || length > len(b) {
			return Result{}, errMalformed
		}
		value := b[4:length]
		switch {
		case kind == attrCongestion:
			r.Congestion = cString(value)
		case kind == attrTOS && len(value) >= 1:
			r.TOS = value[0]
		case kind == attrTrafficClass && len(value) >= 1:
			r.TrafficClass = value[0]
		case kind == attrMark && len(value) >= 4:
			r.Mark, r.MarkKnown = binary.NativeEndian.Uint32(value), true
		}
		b = b[min(align(length), len(b)):]
	}
	return r, nil
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func align(n int) int { return (n + 3) &^ 3 }
