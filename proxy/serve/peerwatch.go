package serve

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrPeerGone ends a dial whose application has left.
var ErrPeerGone = errors.New("the application closed the connection before it was open")

// watchDelay is how long a dial may take before its peer is watched: most are
// over by then, and watching costs a goroutine and a few system calls.
const watchDelay = 50 * time.Millisecond

// WatchPeer calls gone once if the peer resets conn, or closes it without having sent
// anything. A peer that has sent something and then ends its data half-closes conn, and
// still waits for its answer. spoke says that something from the peer was read before.
//
// stop ends the watch and returns when gone is not called any more. It leaves conn with a
// read deadline in the past; the caller sets another one.
func WatchPeer(conn *net.TCPConn, spoke bool, gone func()) (stop func()) {
	w := &peerWatch{conn: conn, spoke: spoke, done: make(chan struct{})}
	timer := time.AfterFunc(watchDelay, func() { w.run(gone) })
	return func() {
		if timer.Stop() {
			return
		}
		w.stopped.Store(true)
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-w.done
	}
}

type peerWatch struct {
	conn    *net.TCPConn
	spoke   bool
	stopped atomic.Bool
	done    chan struct{}
}

func (w *peerWatch) run(gone func()) {
	defer close(w.done)
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return // closed, and its owner knows
	}
	_ = w.conn.SetReadDeadline(time.Time{})
	if w.stopped.Load() {
		return // before the deadline was cleared, which would have been lost
	}
	if raw.Read(w.hasLeft) == nil {
		gone()
	}
}

// hasLeft leaves what the peer sent ahead of the answer in its socket for the
// relay.
func (w *peerWatch) hasLeft(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	for err == unix.EINTR {
		n, err = unix.Poll(p, 0)
	}
	if n == 0 || err != nil {
		return false
	}
	if p[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
		return true
	}
	n, err = Peek(int(fd))
	return !w.spoke && n == 0 && err == nil
}

// Peek reports whether there is a byte to read, and leaves it there. n is 0 at the end of
// data; err is EAGAIN when nothing has come.
func Peek(fd int) (n int, err error) {
	var b [1]byte
	for err = unix.EINTR; err == unix.EINTR; {
		n, _, err = unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	}
	return n, err
}
