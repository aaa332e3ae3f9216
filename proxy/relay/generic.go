package relay

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
