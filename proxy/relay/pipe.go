package relay

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

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
