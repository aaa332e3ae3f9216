package capture

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// Segment is one TCP segment as it was on the wire.
type Segment struct {
	At        time.Time // the kernel's
	Interface int       // index
	Outgoing  bool      // sent by the host, not received
	Src, Dst  netip.AddrPort
	SYN, ACK  bool
	FIN, RST  bool
	Seq       uint32
	Len       int // of the payload, in bytes
	// Capable and Join say that it carries MP_CAPABLE or MP_JOIN (RFC 8684
	// sections 3.1 and 3.2).
	Capable, Join bool
	// Token names the connection at the host that answered its first SYN: what
	// an MP_JOIN in a SYN to that host asks for, and what follows from the key
	// in that host's SYN with MP_CAPABLE and ACK. 0 in other segments.
	Token uint32
	// DSS is the data sequence mapping, if it has one (section 3.3).
	DSS Mapping
}

// Mapping maps a subflow's bytes to the connection's.
type Mapping struct {
	Length  int    // bytes; 0: there is no mapping
	Data    uint64 // data sequence number; the lower half where Wide is false
	Subflow uint32 // relative to the subflow's initial sequence number
	Wide    bool
}

// Protocol numbers of what is decoded.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	protoTCP  = 6
	kindMPTCP = 30
)

// Decode reads the headers of an Ethernet frame, which may be cut off behind
// them. It reports whether it is a TCP segment.
func Decode(frame []byte) (Segment, bool) {
	if len(frame) < 14 {
		return Segment{}, false
	}
	switch rest := frame[14:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		return decodeIPv4(rest)
	case etherIPv6:
		return decodeIPv6(rest)
	}
	return Segment{}, false
}

func decodeIPv4(b []byte) (Segment, bool) {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != protoTCP {
		return Segment{}, false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff
	if header < 20 || len(b) < header || total < header || fragment != 0 {
		return Segment{}, false
	}
	return decodeTCP(b[header:], total-header, netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])))
}

func decodeIPv6(b []byte) (Segment, bool) {
	if len(b) < 40 || b[0]>>4 != 6 || b[6] != protoTCP {
		return Segment{}, false
	}
	return decodeTCP(b[40:], int(binary.BigEndian.Uint16(b[4:])), netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])))
}

// decodeTCP gets the length of the segment as the IP header says it.
func decodeTCP(b []byte, total int, src, dst netip.Addr) (Segment, bool) {
	if len(b) < 20 {
		return Segment{}, false
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > total {
		return Segment{}, false
	}
	flags := b[13]
	s := Segment{
		Src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)),
		Dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])),
		FIN: flags&1 != 0, SYN: flags&2 != 0, RST: flags&4 != 0, ACK: flags&16 != 0,
		Seq: binary.BigEndian.Uint32(b[4:]), Len: total - header,
	}
	s.options(b[20:min(header, len(b))])
	return s, true
}

// options walks the options (RFC 9293 section 3.1); it stops at the first that
// makes no sense.
func (s *Segment) options(b []byte) {
	for len(b) > 0 {
		switch kind := b[0]; {
		case kind == 0:
			return
		case kind == 1:
			b = b[1:]
		case len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b):
			return
		default:
			if kind == kindMPTCP {
				s.mptcp(b[2:b[1]])
			}
			b = b[b[1]:]
		}
	}
}

func (s *Segment) mptcp(b []byte) {
	if len(b) == 0 {
		return
	}
	switch b[0] >> 4 {
	case 0:
		s.Capable = true
		if s.SYN && s.ACK && len(b) >= 10 {
			sum := sha256.Sum256(b[2:10])
			s.Token = binary.BigEndian.Uint32(sum[:])
		}
	case 1:
		s.Join = true
		if s.SYN && !s.ACK && len(b) >= 6 {
			s.Token = binary.BigEndian.Uint32(b[2:])
		}
	case 2:
		if len(b) >= 2 {
			s.dss(b[1], b[2:])
		}
	}
}

// dss reads a data sequence signal; its flags say how long its numbers are.
func (s *Segment) dss(flags byte, b []byte) {
	const hasAck, ack8, hasMap, data8 = 1, 2, 4, 8
	skip := 0
	if flags&hasAck != 0 {
		skip = 4
		if flags&ack8 != 0 {
			skip = 8
		}
	}
	size := 4
	if flags&data8 != 0 {
		size = 8
	}
	if flags&hasMap == 0 || len(b) < skip+size+6 {
		return
	}
	b = b[skip:]
	m := Mapping{Wide: size == 8}
	if m.Wide {
		m.Data = binary.BigEndian.Uint64(b)
	} else {
		m.Data = uint64(binary.BigEndian.Uint32(b))
	}
	m.Subflow = binary.BigEndian.Uint32(b[size:])
	m.Length = int(binary.BigEndian.Uint16(b[size+4:]))
	s.DSS = m
}
