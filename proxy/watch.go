package proxy

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errPeerGone is the cause of a dial that its application did not wait for.
var errPeerGone = errors.New("the application closed the connection before it was open")

// watchPeer calls gone once if the peer resets conn, or closes it without having
// sent anything: an end of data behind data, which spoke says was read already,
// is a half-close, and the peer still waits for its answer. The returned
// function ends the watch, waits for that, and clears conn's read deadline,
// which the watch uses to be woken.
func watchPeer(conn *net.TCPConn, spoke bool, gone func()) (stop func()) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return func() {}
	}
	_ = conn.SetReadDeadline(time.Time{})
	w := &peerWatch{spoke: spoke, done: make(chan struct{})}
	go w.run(raw, gone)
	return func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-w.done
		_ = conn.SetReadDeadline(time.Time{})
	}
}

type peerWatch struct {
	spoke bool
	done  chan struct{}
}

func (w *peerWatch) run(raw syscall.RawConn, gone func()) {
	defer close(w.done)
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
	var b [1]byte
	n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return !w.spoke && n == 0 && err == nil
}

func isAddrInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
