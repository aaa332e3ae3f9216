package relay

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// slowDrain: a destination that keeps a chunk waiting for longer than this is
// slow, and its direction takes smaller chunks, so that what waits is little.
const slowDrain = 50 * time.Millisecond

// direction moves bytes from src to dst. Between two chunks it holds nothing.
// Its fields belong to the goroutine that pumps it; callbacks of RawConn run
// on that goroutine.
type direction struct {
	s        *session
	src, dst *end
	count    *atomic.Uint64
	moved    uint64

	method method
	level  int8 // chunk size asked for
	top    int8 // largest level

	deframer *deframer // of src while it is framed, else nil
	framer   *framer   // of dst while it is framed, else nil

	// The chunk at hand: n bytes are in buf or in pipe, off of them delivered.
	buf     *buffer
	pipe    *pipe
	n, off  int
	err     error // of the callback that just ran
	blocked int64 // stamp of the first wait for dst in this chunk, 0: none
	last    bool  // nothing follows the chunk: it goes with the end of data
	looked  bool  // TLS was asked for what it has decrypted

	waiting atomic.Bool // for src
	yielded bool        // the pump has returned in order to be parked; s.mu guards it

	// The callbacks, bound once: a closure for each call would be garbage.
	onReadable, onWritable func(fd uintptr) bool
}

func (d *direction) init(s *session, src, dst *end, count *atomic.Uint64) {
	d.s, d.src, d.dst, d.count = s, src, dst, count
	d.onReadable, d.onWritable = d.readable, d.writable
	if src.framed != nil && src.framed.in.state == framesRun {
		d.deframer = &src.framed.in
	}
	if dst.framed != nil && dst.framed.out.state == framesRun {
		d.framer = &dst.framed.out
	}
	d.choose()
}

// choose picks the method for bytes that are not framed any more; frames are
// copied, and small.
func (d *direction) choose() {
	if d.framer == nil && d.deframer == nil {
		d.method, d.top = choose(d.src.kind, d.dst.kind)
	}
}

// pump moves chunks until the end of data or an error, which it reports to the
// session, or until the session is to be parked.
func (d *direction) pump() {
	for {
		d.waiting.Store(true)
		err := d.fill()
		d.waiting.Store(false)
		if d.s.parking.Load() || errors.Is(err, os.ErrDeadlineExceeded) {
			var yield bool
			if err, yield = d.s.interrupted(d, err); yield {
				return
			}
		}
		if d.deframer != nil {
			err = d.deframe(err)
		}
		d.last = err == io.EOF
		if d.n > 0 {
			if werr := d.drain(); werr != nil {
				d.drop()
				d.fail("write", d.dst, werr)
				return
			}
		}
		d.release()
		if err == io.EOF {
			d.end()
			return
		}
		if err != nil {
			d.fail("read", d.src, err)
			return
		}
	}
}

// fill waits for src and takes a chunk from it. It returns io.EOF at the end of
// data, possibly together with a last chunk.
func (d *direction) fill() error {
	switch d.src.kind {
	case kindTCP, kindMPTCP:
		d.err = nil
		if err := d.src.raw.Read(d.onReadable); err != nil {
			return err
		}
		return d.err
	case kindTLS:
		return d.fillTLS()
	default:
		return d.fillOther()
	}
}

// readable takes what src has into a pipe or a buffer. It returns false, and
// holds neither, when there is nothing.
func (d *direction) readable(fd uintptr) bool {
	if d.method == methodSplice && d.level > level16K && d.spliceIn(int(fd)) {
		return true
	}
	return d.recv(int(fd))
}

func (d *direction) recv(fd int) bool {
	d.buf = buffers.take(int(d.level))
	n, err := ignoringEINTR(unix.Read, fd, d.room())
	switch {
	case err == unix.EAGAIN:
		d.release()
		return false
	case err != nil:
		d.err = err
	case n == 0:
		d.err = io.EOF
	default:
		d.n = n
		d.adapt(n, len(d.room()))
		if d.framer != nil {
			d.recvMore(fd)
		}
	}
	return true
}

// room is the part of the buffer that may be filled: for a TLS destination, what
// a corked buffer of the same size holds as whole records.
func (d *direction) room() []byte {
	b := d.buf.b
	if d.framer != nil {
		return d.framedRoom()
	}
	if d.dst.kind != kindTLS {
		return b
	}
	n := len(b) / (recordSend + recordOverhead) * recordSend
	if d.src.kind == kindTLS {
		n = max(n, recordPlain) // the largest record must fit in
	}
	return b[:n]
}

// adapt chooses the next chunk's size: larger after a full one, smaller when
// hardly anything came.
func (d *direction) adapt(n, space int) {
	switch {
	case n >= space && d.level < d.top:
		d.level++
	case n < space/16 && d.level > 0:
		d.level--
	}
}

// drain delivers the chunk to dst, and waits for as long as that takes.
func (d *direction) drain() error {
	d.off, d.blocked = 0, 0
	if d.framer != nil {
		return d.drainFramed()
	}
	var err error
	switch d.dst.kind {
	case kindTCP, kindMPTCP:
		d.err = nil
		if err = d.dst.raw.Write(d.onWritable); err == nil {
			err = d.err
		}
	case kindTLS:
		err = d.drainTLS()
	default:
		err = d.drainOther()
	}
	if err == nil && d.blocked != 0 && stamp()-d.blocked > int64(slowDrain) && d.level > 0 {
		d.level--
	}
	return err
}

// writable gives dst as much as it takes; it returns false when dst is full.
func (d *direction) writable(fd uintptr) bool {
	if d.pipe != nil {
		return d.spliceOut(int(fd))
	}
	return d.send(int(fd))
}

func (d *direction) send(fd int) bool {
	for d.off < d.n {
		n, err := ignoringEINTR(d.write, fd, d.buf.b[d.off:d.n])
		if err == unix.EAGAIN {
			d.waitForDst()
			return false
		}
		if err != nil {
			d.err = err
			return true
		}
		d.delivered(n)
	}
	return true
}

// write leaves a last chunk to the shutdown that follows, so that data and end
// are one segment.
func (d *direction) write(fd int, p []byte) (int, error) {
	if d.last && d.dst.kind == kindTCP {
		return unix.SendmsgN(fd, p, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
	}
	return unix.Write(fd, p)
}

// waitForDst notes when a chunk began to wait, or may have.
func (d *direction) waitForDst() {
	if d.blocked == 0 {
		d.blocked = stamp()
	}
}

// delivered counts n bytes of the chunk as taken by dst.
func (d *direction) delivered(n int) {
	d.off += n
	d.moved += uint64(n)
	d.count.Add(uint64(n))
	d.s.counters.last.Store(stamp())
}

// release gives back what held the chunk.
func (d *direction) release() {
	if d.buf != nil {
		buffers.give(d.buf)
		d.buf = nil
	}
	if d.pipe != nil {
		pipes.give(d.pipe)
		d.pipe = nil
	}
	d.n, d.off = 0, 0
}

// drop gives back what holds a chunk that cannot be delivered.
func (d *direction) drop() {
	if d.pipe != nil {
		pipes.discard(d.pipe)
		d.pipe = nil
	}
	d.release()
}

// end passes the end of data on.
func (d *direction) end() {
	var err error
	switch {
	case d.framer != nil:
		err = d.endFramed()
	case d.dst.kind == kindTLS:
		err = d.endTLS()
	case d.dst.kind.isSocket() && d.s.isHalf():
		// The other direction is over: the close that follows says the same.
	default:
		err = d.dst.stream.CloseWrite()
	}
	if err != nil {
		d.fail("close write", d.dst, err)
		return
	}
	d.s.directionEnded(d)
}

// fail reports what went wrong on e.
func (d *direction) fail(op string, e *end, err error) {
	side, r := "a", ReadErrorA
	if e == &d.s.b {
		side, r = "b", ReadErrorB
	}
	if op != "read" {
		r += WriteErrorA - ReadErrorA
	}
	d.s.abort(r, &Error{Op: op, Side: side, Err: err})
}

// ignoringEINTR makes a read or write call again when a signal cut it short.
func ignoringEINTR(f func(fd int, p []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := f(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// fillOther reads from a stream that only has its Read method. It cannot know
// when there is something to read, so it waits with a small buffer in hand.
func (d *direction) fillOther() error {
	d.buf = buffers.take(level16K)
	n, err := d.src.stream.Read(d.room())
	d.n = n
	return err
}

// drainOther writes to a stream that only has its Write method.
func (d *direction) drainOther() error {
	d.waitForDst()
	for d.off < d.n {
		n, err := d.dst.stream.Write(d.buf.b[d.off:d.n])
		d.delivered(n)
		if err != nil {
			return err
		}
	}
	return nil
}
