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
	attrInfo         = 2 // struct tcp_info; what is above TCP comes only with it
	attrCongestion   = 4
	attrTOS          = 5
	attrTrafficClass = 6
	attrMark         = 15
	attrULP          = 19 // nest
	// Within it, include/uapi/linux/inet_diag.h and mptcp.h.
	attrULPMPTCP     = 3 // nest
	attrSubflowFlags = 8 // of 32 bits
	flagBackupPeer   = 1 << 4
	flagBackupOurs   = 1 << 5
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
	// Device is the index of the interface that the socket is bound to, 0 for none.
	Device int
	// Subflow says that the socket is one of Multipath TCP. Older kernels, 6.1 among
	// them, tell it and what follows only to those with CAP_NET_ADMIN.
	Subflow bool
	// Backup and PeerBackup say which end wants the subflow as a backup.
	Backup, PeerBackup bool
}

// ErrNoSocket says that there is no TCP socket with these ends.
var ErrNoSocket = errors.New("no TCP socket has these ends")

// errMalformed is an answer that cannot be read.
var errMalformed = errors.New("malformed answer of sock_diag")

const (
	headerSize  = 16 // struct nlmsghdr
	requestSize = 56 // struct inet_diag_req_v2
	messageSize = 72 // struct inet_diag_msg
	deviceAt    = 40 // in struct inet_diag_msg
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
	r[2] = bit(attrInfo) | bit(attrCongestion) | bit(attrTOS) | bit(attrTrafficClass)
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
		r.Device = int(binary.NativeEndian.Uint32(body[deviceAt:]))
		return r, err
	}
	return Result{}, errMalformed
}

func decodeAttributes(b []byte) (r Result, err error) {
	err = eachAttribute(b, func(kind uint16, value []byte) error {
		switch {
		case kind == attrCongestion:
			r.Congestion = cString(value)
		case kind == attrTOS && len(value) >= 1:
			r.TOS = value[0]
		case kind == attrTrafficClass && len(value) >= 1:
			r.TrafficClass = value[0]
		case kind == attrMark && len(value) >= 4:
			r.Mark, r.MarkKnown = binary.NativeEndian.Uint32(value), true
		case kind == attrULP:
			return eachAttribute(value, r.decodeULP)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	return r, nil
}

// decodeULP reads what a protocol above TCP says of the socket.
func (r *Result) decodeULP(kind uint16, value []byte) error {
	if kind != attrULPMPTCP {
		return nil
	}
	r.Subflow = true
	return eachAttribute(value, func(kind uint16, value []byte) error {
		if kind == attrSubflowFlags && len(value) >= 4 {
			flags := binary.NativeEndian.Uint32(value)
			r.Backup, r.PeerBackup = flags&flagBackupOurs != 0, flags&flagBackupPeer != 0
		}
		return nil
	})
}

// eachAttribute calls f with each of a list of attributes.
func eachAttribute(b []byte, f func(kind uint16, value []byte) error) error {
	for len(b) >= 4 {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED
		if length < 4 || length > len(b) {
			return errMalformed
		}
		if err := f(kind, b[4:length]); err != nil {
			return err
		}
		b = b[min(align(length), len(b)):]
	}
	return nil
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
