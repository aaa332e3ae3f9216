package serve

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrPeerGone ends a dial whose application has left.
var ErrPeerGone = errors.New("the application closed the connection before it was open")

// watchDelay is how long a dial may take before its peer is watched: most are
// over by then, and watching costs a goroutine and a few system calls.
const watchDelay = 50 * time.Millisecond

// lookAgain is how long it takes at most until an application on this host that has
// half-closed its connection, and goes later, is missed.
const lookAgain = time.Second

// WatchPeer watches an application whose destination is being reached. It calls gone once
// if the application resets conn, or has closed it.
//
// An application that ends its data may still read: what it waits for is the destination's
// to say, as with a server that speaks first. TCP does not tell that from a close. The
// kernel does where the application is on this host (orphaned). Where it is not, a close is
// noticed when the reply meets a reset. An application that has sent data behind its
// request, which spoke says of data that was read before, is not looked after further: it
// wants that delivered.
//
// stop ends the watch and returns when gone is not called any more. It leaves conn with a
// read deadline that the caller has to replace.
func WatchPeer(conn *net.TCPConn, spoke bool, gone func()) (stop func()) {
	return watch(&peerWatch{conn: conn, spoke: spoke, left: func() bool { return orphaned(conn) }}, gone)
}

// WatchLeg is WatchPeer for the client on a leg. sealed says that the client marks the end
// of its data within the leg, in TLS or a frame: the end of the leg itself then means that
// it has left.
func WatchLeg(conn *net.TCPConn, spoke, sealed bool, gone func()) (stop func()) {
	return watch(&peerWatch{conn: conn, spoke: spoke && !sealed, left: func() bool { return sealed }}, gone)
}

func watch(w *peerWatch, gone func()) (stop func()) {
	w.done = make(chan struct{})
	timer := time.AfterFunc(watchDelay, func() { w.run(gone) })
	return func() {
		if timer.Stop() {
			return
		}
		w.stopped.Store(true)
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
		<-w.done
	}
}

type peerWatch struct {
	conn    *net.TCPConn
	spoke   bool
	left    func() bool // asked when the peer's data has ended and it may have gone
	half    bool        // it has, and the peer had not gone
	stopped atomic.Bool
	done    chan struct{}
}

func (w *peerWatch) run(gone func()) {
	defer close(w.done)
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return // closed, and its owner knows
	}
	for {
		var until time.Time
		if w.half {
			until = time.Now().Add(lookAgain)
		}
		_ = w.conn.SetReadDeadline(until)
		if w.stopped.Load() {
			return // maybe before the deadline was set, so that its own was lost
		}
		wasHalf := w.half
		err := raw.Read(w.hasLeft)
		switch {
		case err == nil && w.half == wasHalf:
			gone()
			return
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
	}
}

// hasLeft reports that the peer has left, or, with half newly set, that it must be looked at
// again. It leaves what the peer sent ahead of the answer in its socket for the relay.
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
	if n, err = Peek(int(fd)); w.spoke || n > 0 || err != nil {
		return false
	}
	if w.left() {
		return true
	}
	first := !w.half
	w.half = true
	return first
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
