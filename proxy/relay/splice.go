package relay

import (
	"io"

	"golang.org/x/sys/unix"
)

const spliceFlags = unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MOVE

// spliceIn moves what src has into a pipe. ok is false when it has to be
// copied instead; then nothing was taken from src. done is false when src has
// nothing.
func (d *direction) spliceIn(fd int) (done, ok bool) {
	p := pipes.take()
	if p == nil {
		return false, false
	}
	n, err := spliceOnce(fd, p.w, min(p.size, levelSize[d.level]))
	switch {
	case err == nil && n > 0:
		d.pipe, d.n = p, n
		d.adapt(n, minPipe)
		return true, true
	case err == nil:
		d.err = io.EOF
	case err == unix.EAGAIN:
		// The pipe is empty, so it is the source that has nothing.
		pipes.give(p)
		return false, true
	case err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP:
		pipes.give(p)
		d.noSplice()
		return false, false
	default:
		d.err = err
	}
	pipes.give(p)
	return true, true
}

// spliceOut moves the pipe's content to dst.
func (d *direction) spliceOut(fd int) bool {
	for d.off < d.n {
		n, err := spliceOnce(d.pipe.r, fd, d.n-d.off)
		switch {
		case err == nil && n > 0:
			d.delivered(n)
		case err == unix.EAGAIN:
			// The pipe is not empty, so it is dst that is full.
			d.waitForDst()
			return false
		case err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP:
			d.noSplice()
			if d.err = d.unpipe(); d.err != nil {
				return true
			}
			return d.send(fd)
		case err == nil:
			d.err = io.ErrShortWrite
			return true
		default:
			d.err = err
			return true
		}
	}
	return true
}

// noSplice makes this direction copy from now on.
func (d *direction) noSplice() {
	d.method = methodCopy
}

// unpipe takes the rest of the chunk out of the pipe into memory: dst cannot
// be spliced to. It happens at most once in a direction.
func (d *direction) unpipe() error {
	buf := &buffer{b: make([]byte, d.n-d.off), level: unpooled}
	for at := 0; at < len(buf.b); {
		n, err := ignoringEINTR(unix.Read, d.pipe.r, buf.b[at:])
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		at += n
	}
	pipes.give(d.pipe)
	d.pipe, d.n, d.off = nil, len(buf.b), 0
	d.buf = buf
	return nil
}

func spliceOnce(from, to, size int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, size, spliceFlags)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}
