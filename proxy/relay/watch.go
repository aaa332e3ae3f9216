package relay

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchDelay is how long a direction may go on alone before the other one's source is
// watched: most are over by then, and watching costs a goroutine that has to be woken.
const watchDelay = 50 * time.Millisecond

// watch waits, after src's end of data, for the other direction to end, and
// ends the session when src is reset meanwhile. Nobody reads src any more, so
// without it a reset would go unnoticed, and the connection would linger in
// CLOSE-WAIT, until the other direction has something to write.
func (d *direction) watch() {
	var errno int
	err := d.src.raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd)}} // hang-up and error are always reported
		if n, err := unix.Poll(p, 0); err != nil || n == 0 {
			return false
		}
		// A hang-up without an error: the other direction just ended, too.
		errno, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return true
	})
	if err == nil && errno != 0 {
		d.fail("read", d.src, syscall.Errno(errno))
	}
}
