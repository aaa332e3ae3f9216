package link

import (
	"encoding/binary"
	"hash/crc32"
)

// saltOf makes the routers at the two ends of a link choose differently.
func saltOf(seed uint64, d Direction) uint32 {
	return uint32(seed>>32) ^ uint32(seed) ^ uint32(d)*0x9e3779b9
}

// branch returns the pipe of a frame: frames of one flow take one.
func (w *wire) branch(frame []byte) *pipe {
	if len(w.pipes) == 1 {
		return w.pipes[0]
	}
	return w.pipes[flowHash(w.salt, frame)%uint32(len(w.pipes))]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// flowHash hashes the addresses, the protocol and, of TCP and UDP, the ports of
// a frame. What is not IP is one flow.
func flowHash(salt uint32, frame []byte) uint32 {
	const ethernet, tcp, udp = 14, 6, 17
	var key [4 + 32 + 1 + 4]byte
	binary.BigEndian.PutUint32(key[:], salt)
	if len(frame) < ethernet+20 {
		return 0
	}
	packet := frame[ethernet:]
	var rest []byte
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		copy(key[4:], packet[12:20])
		key[36], rest = packet[9], packet[min(int(packet[0]&15)*4, len(packet)):]
	case 0x86dd:
		if len(packet) < 40 {
			return 0
		}
		copy(key[4:], packet[8:40])
		key[36], rest = packet[6], packet[40:]
	default:
		return 0
	}
	if p := key[36]; (p == tcp || p == udp) && len(rest) >= 4 {
		copy(key[37:], rest[:4])
	}
	// The checksum is linear: two flows that differ in one bit would keep their
	// distance whatever the salt. A multiplication mixes.
	h := crc32.Checksum(key[:], castagnoli)
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	h *= 0x297a2d39
	return h ^ h>>15
}

// BranchBytes returns the bytes that each branch has delivered in a direction;
// one number for a link without branches, none for one that the kernel emulates.
func (l *Link) BranchBytes(d Direction) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.backend.(*emulator); ok {
		return e.wires[d].branchBytes()
	}
	return nil
}

func (w *wire) branchBytes() []uint64 {
	w.published.Lock()
	defer w.published.Unlock()
	return append([]uint64(nil), w.published.branches...)
}
