package uapi

import (
	"time"
	"unsafe"
)

// Info is what the kernel tells about a whole MPTCP connection: struct
// mptcp_info, the answer to the socket option MPTCP_INFO.
type Info struct {
	// Token identifies the connection on this host.
	Token Token
	// Flags says how far the handshake got.
	Flags InfoFlags

	// Subflows counts the subflows besides the initial one, which is not
	// counted even after it is gone; SubflowsMax is the path manager's limit.
	Subflows, SubflowsMax uint8
	// SubflowsTotal counts all subflows, the initial one included. Linux
	// 6.8; SubflowsTotalKnown is false before.
	SubflowsTotal      uint8
	SubflowsTotalKnown bool

	// AddAddrSignal counts the addresses announced to the peer (ADD_ADDR),
	// AddAddrAccepted those accepted from it, each with its limit.
	AddAddrSignal, AddAddrSignalMax     uint8
	AddAddrAccepted, AddAddrAcceptedMax uint8
	// LocalAddrUsed counts the local endpoints from which the in-kernel
	// path manager made subflows, out of LocalAddrMax.
	LocalAddrUsed, LocalAddrMax uint8
	// Checksum says that DSS checksums are in use, RFC 8684 section 3.3.
	Checksum bool

	// WriteSeq, SndUna and RcvNxt are 64-bit data sequence numbers: the
	// next one to be written, the oldest that the peer has not acknowledged
	// at the data level, and the next one expected from the peer.
	WriteSeq, SndUna, RcvNxt uint64

	// Retransmits counts data-level retransmission timeouts in a row, the
	// others data-level bytes since the connection began; BytesSent
	// includes what was sent again on another subflow. Linux 6.5;
	// CountersKnown is false before.
	Retransmits               uint32
	BytesSent, BytesRetrans   uint64
	BytesReceived, BytesAcked uint64
	CountersKnown             bool

	// The time since data was last sent and received, and since a
	// data-level acknowledgement came in; resolution one millisecond.
	// Linux 6.10; LastTimesKnown is false before.
	LastDataSent, LastDataReceived time.Duration
	LastAckReceived                time.Duration
	LastTimesKnown                 bool
}

// The ends of the generations of struct mptcp_info, in bytes.
const (
	infoMin              = int(unsafe.Offsetof(rawInfo{}.LocalAddrUsed))     // Linux 5.16
	infoEndCounters      = int(unsafe.Offsetof(rawInfo{}.SubflowsTotal))     // Linux 6.5
	infoEndSubflowsTotal = int(unsafe.Offsetof(rawInfo{}.SubflowsTotal)) + 1 // Linux 6.8
)

// DecodeInfo decodes struct mptcp_info as far as b goes. The error is a
// *ShortError.
func DecodeInfo(b []byte) (Info, error) {
	if len(b) < infoMin {
		return Info{}, &ShortError{Struct: "mptcp_info", Len: len(b), Min: infoMin}
	}
	r := overlay[rawInfo](b)
	i := Info{
		Token:              Token(r.Token),
		Flags:              InfoFlags(r.Flags),
		Subflows:           r.Subflows,
		SubflowsMax:        r.SubflowsMax,
		AddAddrSignal:      r.AddAddrSignal,
		AddAddrSignalMax:   r.AddAddrSignalMax,
		AddAddrAccepted:    r.AddAddrAccepted,
		AddAddrAcceptedMax: r.AddAddrAcceptedMax,
		LocalAddrUsed:      r.LocalAddrUsed,
		LocalAddrMax:       r.LocalAddrMax,
		Checksum:           r.CsumEnabled != 0,
		WriteSeq:           r.WriteSeq,
		SndUna:             r.SndUna,
		RcvNxt:             r.RcvNxt,
	}
	if len(b) >= infoEndCounters {
		i.CountersKnown = true
		i.Retransmits = r.Retransmits
		i.BytesSent, i.BytesRetrans = r.BytesSent, r.BytesRetrans
		i.BytesReceived, i.BytesAcked = r.BytesReceived, r.BytesAcked
	}
	if len(b) >= infoEndSubflowsTotal {
		i.SubflowsTotalKnown = true
		i.SubflowsTotal = r.SubflowsTotal
	}
	// Linux 6.8 pads the structure to 88 bytes, in the middle of these
	// three: only the full 96 bytes have them.
	if len(b) >= InfoSize {
		i.LastTimesKnown = true
		i.LastDataSent = millis(r.LastDataSent)
		i.LastDataReceived = millis(r.LastDataRecv)
		i.LastAckReceived = millis(r.LastAckRecv)
	}
	return i, nil
}

func millis(v uint32) time.Duration { return time.Duration(v) * time.Millisecond }
func micros(v uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	return time.Duration(min(v, most)) * time.Microsecond
}
