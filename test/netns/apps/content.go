package apps

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

const (
	// blockSize is the length of the random block that repeats.
	blockSize = 64 << 10
	// MaxSize is the largest content that the file server hands out, in bytes.
	MaxSize = 1 << 44
)

var block = sync.OnceValue(func() []byte {
	b := make([]byte, blockSize)
	_, _ = rand.NewChaCha8([32]byte([]byte("content for tests of mpproxy ..."))).Read(b)
	return b
})

// Content is deterministic data of a given size that does not compress, made as
// it is read: a random block again and again, the first eight bytes of each
// repetition being its number, so that a lost, doubled or swapped piece changes
// the sum. It is an io.ReadSeeker and an io.WriterTo.
type Content struct {
	size, at int64
}

// NewContent returns the content of a size, in bytes. Shorter contents are
// prefixes of longer ones.
func NewContent(size int64) *Content { return &Content{size: size} }

// Read implements io.Reader.
func (c *Content) Read(b []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), c.size-c.at))
	b = b[:n]
	for len(b) > 0 {
		done := copyBlock(b, c.at)
		b = b[done:]
		c.at += int64(done)
	}
	return n, nil
}

// copyBlock copies content from an offset to at most the end of its block.
func copyBlock(b []byte, at int64) int {
	number, within := at/blockSize, int(at%blockSize)
	n := copy(b, block()[within:])
	if within < 8 {
		var stamp [8]byte
		binary.BigEndian.PutUint64(stamp[:], uint64(number))
		copy(b[:n], stamp[within:])
	}
	return n
}

// Seek implements io.Seeker.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("apps: seek before the start of the content")
	}
	c.at = offset
	return offset, nil
}

// chunk is what WriteTo writes at once, and the file server.
const chunk = 256 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// WriteTo implements io.WriterTo.
func (c *Content) WriteTo(w io.Writer) (written int64, err error) {
	return c.writeN(w, c.size-c.at)
}

func (c *Content) writeN(w io.Writer, n int64) (written int64, err error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for written < n {
		got, err := c.Read(buf[:min(chunk, n-written)])
		if err != nil {
			return written, err
		}
		wrote, err := w.Write(buf[:got])
		written += int64(wrote)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

var sums sync.Map // int64 → string

// SHA256 returns the sum of the content of a size, in hexadecimal.
func SHA256(size int64) string {
	if s, ok := sums.Load(size); ok {
		return s.(string)
	}
	h := sha256.New()
	_, _ = NewContent(size).WriteTo(h)
	s := hex.EncodeToString(h.Sum(nil))
	sums.Store(size, s)
	return s
}

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"K", 1e3},
	{"M", 1e6},
	{"G", 1e9},
}

// ParseSize reads "60000000", "60M" or "512KiB".
func ParseSize(s string) (int64, error) {
	number, factor := s, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			number, factor = rest, u.factor
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > MaxSize/factor {
		return 0, fmt.Errorf("apps: size %q: want 0 to %d bytes, or a number with K, M, G, KiB, MiB or GiB", s, int64(MaxSize))
	}
	return n * factor, nil
}
