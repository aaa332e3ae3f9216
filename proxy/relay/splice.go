package relay

import (
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const spliceFlags = unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MOVE

// spliceIn moves what src has into a pipe. It reports false where recv is to look: splice
// stops before an urgent byte as if src had nothing, or had ended, and some sources cannot
// be spliced from. Nothing was taken from src then.
func (d *direction) spliceIn(fd int) bool {
	p := pipes.take()
	if p == nil {
		return false
	}
	n, err := spliceOnce(fd, p.w, min(p.size, levelSize[d.level]))
	if err == nil && n > 0 {
		d.pipe, d.n = p, n
		d.adapt(n, minPipe)
		return true
	}
	pipes.give(p)
	switch err {
	case nil, unix.EAGAIN: // the pipe is empty, so it is not that which was full
		return false
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
		d.noSplice()
		return false
	}
	d.err = err
	return true
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

const (
	// maxPipes bounds the pipes that exist at a time; each takes two
	// descriptors. Directions that get none copy instead.
	maxPipes = 128
	// maxIdlePipes bounds the pipes that are kept for the next user. Few are
	// needed: one is in use only while bytes are on their way.
	maxIdlePipes = 8
	// minPipe: the kernel gives smaller pipes (down to two pages) to users who
	// are over fs.pipe-user-pages-soft. Copying beats them.
	minPipe = 64 << 10
	// pipeRetry is how long no pipe is tried for after the descriptors ran out.
	pipeRetry = time.Second
)

// pipe is a kernel pipe that is empty whenever it is in the pool.
type pipe struct {
	r, w int
	size int // capacity in bytes
}

// pipePool keeps a few pipes and counts all of them.
type pipePool struct {
	limit int

	mu      sync.Mutex
	idle    []*pipe
	open    int   // idle ones and those in use
	retryAt int64 // stamp; no new pipe before
}

var pipes = pipePool{limit: maxPipes}

// take returns an empty pipe, or nil when there is none to be had.
func (p *pipePool) take() *pipe {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		pp := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return pp
	}
	if p.open >= p.limit || (p.retryAt != 0 && stamp() < p.retryAt) {
		p.mu.Unlock()
		return nil
	}
	p.open++
	p.mu.Unlock()

	pp, err := newPipe()
	if err != nil {
		p.mu.Lock()
		p.open--
		p.retryAt = stamp() + int64(pipeRetry)
		p.mu.Unlock()
		return nil
	}
	return pp
}

// give takes an empty pipe back.
func (p *pipePool) give(pp *pipe) {
	p.mu.Lock()
	if len(p.idle) < maxIdlePipes {
		p.idle = append(p.idle, pp)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.discard(pp)
}

// discard closes a pipe, which may still hold bytes.
func (p *pipePool) discard(pp *pipe) {
	_ = unix.Close(pp.r)
	_ = unix.Close(pp.w)
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// inUse is the number of pipes that directions hold.
func (p *pipePool) inUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open - len(p.idle)
}

// newPipe makes a pipe as large as it may be, 1 MiB at most.
func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	pp := &pipe{r: fds[0], w: fds[1]}
	for _, size := range []int{1 << 20, 256 << 10} {
		// EPERM: over fs.pipe-max-size, or the user's pipes together over
		// fs.pipe-user-pages-soft.
		if _, err := unix.FcntlInt(uintptr(pp.w), unix.F_SETPIPE_SZ, size); err == nil {
			break
		}
	}
	size, err := unix.FcntlInt(uintptr(pp.w), unix.F_GETPIPE_SZ, 0)
	if err == nil && size < minPipe {
		err = unix.ENOSPC
	}
	if err != nil {
		_ = unix.Close(pp.r)
		_ = unix.Close(pp.w)
		return nil, err
	}
	pp.size = size
	return pp, nil
}
