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

// watchPeer calls gone once if the peer closes or resets conn without having
// sent anything more. The returned function ends the watch, waits for that,
// and clears conn's read deadline, which the watch uses to be woken.
func watchPeer(conn *net.TCPConn, gone func()) (stop func()) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return func() {}
	}
	_ = conn.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	go watchForEnd(raw, gone, done)
	return func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = conn.SetReadDeadline(time.Time{})
	}
}

// watchForEnd peeks: what the application sends ahead of the answer stays in
// its socket for the relay, and shows that it is still there.
func watchForEnd(raw syscall.RawConn, gone func(), done chan<- struct{}) {
	defer close(done)
	var n int
	var err error
	rerr := raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for {
			n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if rerr == nil && (err != nil || n == 0) {
		gone()
	}
}

func isAddrInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
