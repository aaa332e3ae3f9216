package relay

import (
	"io"

	"golang.org/x/sys/unix"
)

// deframe takes the frames off the chunk that was just read; err is what reading
// has met.
func (d *direction) deframe(err error) error {
	if d.buf != nil {
		d.n = d.src.framed.strip(d.room()[:d.n])
	}
	switch {
	case d.deframer.state == framesDone:
		return io.EOF
	case err == io.EOF:
		return d.deframer.atEnd()
	case d.deframer.state == framesRest:
		d.deframer = nil
		d.choose()
	}
	return err
}

// framedRoom leaves space for a header ahead of the chunk and for the mark of the
// end behind it.
func (d *direction) framedRoom() []byte {
	n := len(d.buf.b)
	if d.dst.kind == kindTLS {
		n = recordSend
	}
	return d.buf.b[frameHeader : n-frameHeader]
}

// recvMore takes what has come behind a chunk. Short answers are followed by
// their end at once, and it saves a packet, and a reader's waking, when that
// leaves together with them.
func (d *direction) recvMore(fd int) {
	room := d.room()[d.n:]
	if len(room) == 0 {
		return
	}
	switch n, err := ignoringEINTR(unix.Read, fd, room); {
	case err == unix.EAGAIN:
	case err != nil:
		// The socket tells a reset once; behind it, it looks like the end of data.
		d.err = err
	case n == 0:
		d.err = io.EOF
	default:
		d.n += n
	}
}

// drainFramed sends the chunk as one frame, with the end if that is known.
func (d *direction) drainFramed() error {
	d.waitForDst()
	p := d.buf.b[:frameHeader+d.n]
	d.framer.frame(p)
	if d.last && d.framer.state == framesRun {
		p = append(p, d.framer.end()...)
	}
	if _, err := d.dst.stream.Write(p); err != nil {
		return err
	}
	d.delivered(d.n)
	if d.framer.state == framesRest {
		d.framer = nil
		d.choose()
	}
	return nil
}

// endFramed marks the end, unless the last chunk has.
func (d *direction) endFramed() error {
	if d.framer.state == framesDone {
		return nil
	}
	return d.dst.framed.CloseWrite()
}
