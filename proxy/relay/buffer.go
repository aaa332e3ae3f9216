package relay

import (
	"sync"
	"sync/atomic"
)

// Buffer levels. A direction begins with the smallest one and climbs while
// reads fill what it offers.
const (
	level16K = iota
	level64K
	level256K
	level1M
	levels
)

var levelSize = [levels]int{16 << 10, 64 << 10, 256 << 10, 1 << 20}

// recordPlain is the most plaintext that one TLS record carries (RFC 8446
// section 5.1).
const recordPlain = 16 << 10

// recordSend is how much plaintext the relay puts into a record. crypto/tls at
// the other end keeps a buffer for the largest record it has seen for as long as
// the connection lives, with 5 bytes of header, 17 of type and tag, and 512 to
// spare: this size makes that 12 KiB instead of 18, for 0.1 % more bytes and
// about 12 ms of CPU per GB.
const (
	recordSend     = 12<<10 - 512 - recordOverhead
	recordOverhead = recordHeader + 1 + 16 // TLS 1.3 with any of Go's AEADs
)

// levelLimit bounds the buffers of each level that are in use at a time in the
// whole process, so that thousands of connections with slow destinations
// cannot take 1 MiB each: beyond a level's limit the next smaller one is used.
// The smallest level is bounded by the number of connections.
var levelLimit = [levels]int64{1 << 62, 512, 128, 16}

// bufferPool hands out buffers by level and counts what is out.
type bufferPool struct {
	free [levels]sync.Pool
	out  [levels]atomic.Int64
}

var buffers bufferPool

// unpooled is the level of a buffer that was made for one use.
const unpooled = -1

type buffer struct {
	b     []byte
	level int
}

// take returns a buffer of that level or, when too many are out, a smaller one.
func (p *bufferPool) take(level int) *buffer {
	for level > 0 && p.out[level].Load() >= levelLimit[level] {
		level--
	}
	p.out[level].Add(1)
	if b, ok := p.free[level].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, levelSize[level]), level: level}
}

func (p *bufferPool) give(b *buffer) {
	if b.level == unpooled {
		return
	}
	p.out[b.level].Add(-1)
	p.free[b.level].Put(b)
}

// inUse is the number of buffers that are out.
func (p *bufferPool) inUse() (n int64) {
	for i := range p.out {
		n += p.out[i].Load()
	}
	return n
}
