package relay

import (
	"bytes"
	"io"
)

// deframe takes the frames off the chunk that was just read; err is what reading
// has met.
func (d *direction) deframe(err error) error {
	if d.buf != nil {
		n, behind := d.deframer.strip(d.room()[:d.n])
		d.n, d.src.framed.behind = n, bytes.Clone(behind)
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

// drainFramed sends the chunk as one frame.
func (d *direction) drainFramed() error {
	d.waitForDst()
	p := d.buf.b[:d.head+d.n]
	d.framer.frame(p)
	if _, err := d.dst.stream.Write(p); err != nil {
		return err
	}
	d.delivered(d.n)
	if d.framer.state == framesRest {
		d.framer, d.head = nil, 0
		d.choose()
	}
	return nil
}
