package control

import (
	"cmp"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/pathctl/engine"
)

// Reader returns what a controller of package pathctl reads of a connection.
func Reader(c *mptcpsock.Conn) engine.Reader { return &reader{conn: c} }

type reader struct {
	conn   *mptcpsock.Conn
	unsent int // the bound that was set; 0: none
	idle   int // TCP_KEEPIDLE before it was changed, in seconds; 0: it was not
}

func (r *reader) Read() (engine.Reading, error) {
	info, err := r.conn.Info()
	if err != nil {
		return engine.Reading{}, fmt.Errorf("reading a connection: %w", err)
	}
	subflows, err := r.conn.Subflows()
	if err != nil {
		return engine.Reading{}, fmt.Errorf("reading a connection: %w", err)
	}
	out := engine.Reading{Info: info, Subflows: make([]engine.SubflowReading, 0, len(subflows))}
	for _, f := range subflows {
		out.Subflows = append(out.Subflows, engine.SubflowReading{Local: f.Local, Remote: f.Remote, TCP: f.TCP})
	}
	return out, nil
}

// End disconnects the socket under its user, who gets ENOTCONN. Closing it would wake
// nobody who waits for it with epoll.
func (r *reader) End() error {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		to := unix.RawSockaddr{Family: unix.AF_UNSPEC} // connect(2): dissolves the association
		if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&to)), unix.SizeofSockaddrInet4); errno != 0 {
			err = errno
		}
	})
	return errors.Join(cerr, err)
}

// Prod sets TCP_KEEPIDLE of all subflows, in whole seconds, if the program has
// keep-alive on. MPTCP knows the option since Linux 6.10.
func (r *reader) Prod(after time.Duration) error {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		var on int
		if on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || on == 0 {
			err = errors.Join(err, errNoKeepAlive)
			return
		}
		if r.idle == 0 {
			if r.idle, err = unix.GetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_KEEPIDLE); err != nil {
				return
			}
		}
		err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_KEEPIDLE, cmp.Or(int(after/time.Second), r.idle))
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("asking for signs of life on a connection: %w", err)
	}
	return nil
}

var errNoKeepAlive = errors.New("the program has switched keep-alive off")

// BoundUnsent sets TCP_NOTSENT_LOWAT of the connection as a whole (Linux 6.9;
// older kernels refuse), unless the program has set it.
func (r *reader) BoundUnsent(bytes int) error {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		var now int
		if now, err = unix.GetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT); err != nil {
			return
		}
		if now != r.unsent {
			err = fmt.Errorf("the program has set it to %d bytes", now)
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("bounding what a connection holds unsent: %w", err)
	}
	r.unsent = bytes
	return nil
}

// SetSendBuffer fixes how much the connection may hold unacknowledged.
func (r *reader) SetSendBuffer(bytes int) error { return r.conn.SetSendBuffer(bytes) }
