package mptcpsock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultReceiveBuffer is the receive buffer of a connection in bytes when the
// configuration names none: 8 MiB.
//
// The kernel's autotuning of MPTCP receive buffers lets short transfers stall
// for 200 ms at random: of a hundred fetches of 512 KiB between 10 and 42
// (Linux 6.18). With a buffer of 1 MiB or more, set before the handshake, none
// does. But a buffer that is set is no longer tuned and bounds the throughput,
// so 1 MiB would not do: to keep all paths busy while the slowest one delivers,
// the receiver needs about 2 × (sum of the rates) × (longest RTT), RFC 8041
// section 3.6 and RFC 6182 section 5.3. 8 MiB hold that for 70 Mbit/s over a
// path with 480 ms of queue, and a plain bandwidth-delay product of 1 Gbit/s at
// 65 ms. The memory is not reserved: a connection whose reader keeps up holds
// none of it.
const DefaultReceiveBuffer = 8 << 20

// minReceiveBuffer is the smallest buffer, in bytes, that was seen to prevent
// the stall. If the kernel grants less, autotuning is the lesser evil: it
// reaches tcp_rmem[2], far above the usual net.core.rmem_max of 208 KiB.
const minReceiveBuffer = 1 << 20

// DefaultKeepAlive is how long a connection is idle before the first keep-alive
// probe: 2 minutes. Each subflow probes for itself; Go's 15 s would wake a
// metered radio four times a minute for nothing, while carriers' NAT bindings
// for TCP last 5 minutes and more.
const DefaultKeepAlive = 2 * time.Minute

// After the first unanswered probe, how often and how many times to probe
// before the connection is given up: 9 × 15 s, as in package net.
const (
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// sockopts is what a socket gets before connect or listen.
type sockopts struct {
	family        int // AF_INET6 or AF_INET
	iface         string
	receiveBuffer int           // bytes; 0 default, negative autotuning
	keepAlive     time.Duration // 0 default, negative off
	strict        bool
	plain         bool // no MPTCP is wanted
	listen        bool
	bindNoPort    bool
	born          func(fd int) error // called with the MPTCP socket before it is used; nil: not
}

// prepare turns fd, the TCP socket that package net has just made and not yet
// used, into the MPTCP socket that is wanted: a new socket takes the place of
// the old one under the same number. Package net has no other way to dial or
// listen with MPTCP without falling back by itself, and this one leaves it the
// connect, the poller, cancelling and errors. It relies on package net calling
// Control before it binds, connects or polls, as Control's purpose demands.
//
// Where there is no MPTCP, prepare returns the reason and configures the plain
// socket instead, or, when strict, fails.
func (o *sockopts) prepare(fd int) (FallbackReason, error) {
	if o.plain {
		return FallbackNotWanted, o.setCommon(fd)
	}
	s, err := newSocket(o.family)
	if err != nil {
		if o.strict || !unavailable(err) {
			return FallbackNone, err
		}
		// Plain TCP tunes its receive buffer well: leave it.
		return reasonOf(err), o.setCommon(fd)
	}
	defer unix.Close(s)
	if err := o.setCommon(s); err != nil {
		return FallbackNone, err
	}
	if err := o.setReceiveBuffer(s, fd); err != nil {
		return FallbackNone, err
	}
	if o.born != nil {
		if err := o.born(s); err != nil {
			return FallbackNone, err
		}
	}
	if err := unix.Dup3(s, fd, unix.O_CLOEXEC); err != nil {
		return FallbackNone, os.NewSyscallError("dup3", err)
	}
	return FallbackNone, nil
}

// newSocket returns a non-blocking MPTCP socket; the error is one of
// socketError.
func newSocket(family int) (int, error) {
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		return -1, socketError(os.NewSyscallError("socket", err))
	}
	return s, nil
}

// setCommon sets what MPTCP and plain TCP have in common.
func (o *sockopts) setCommon(fd int) error {
	set := func(level, name, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
	}
	if o.family == unix.AF_INET6 {
		if err := set(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return err
		}
	}
	if o.listen {
		// As net.Listen does.
		if err := set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	if o.bindNoPort {
		// Leave the choice of the port to connect, which needs it to be
		// unique for the destination only. MPTCP on older kernels does
		// not have the option; then bind chooses, from fewer.
		if err := set(unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil && !noSuchOption(err) {
			return err
		}
	}
	if o.iface != "" {
		// Unprivileged since Linux 5.7.
		if err := unix.BindToDevice(fd, o.iface); err != nil {
			return &interfaceError{name: o.iface, err: os.NewSyscallError("setsockopt", err)}
		}
	}
	return o.setKeepAlive(set)
}

// setKeepAlive switches keep-alive on. Accepted connections inherit it, so
// that it costs nothing there. The times are left at the system's where MPTCP
// does not let us set them.
func (o *sockopts) setKeepAlive(set func(level, name, value int) error) error {
	idle := o.keepAlive
	if idle == 0 {
		idle = DefaultKeepAlive
	}
	if idle < 0 {
		return nil
	}
	if err := set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	for _, v := range []struct{ name, value int }{
		{unix.TCP_KEEPIDLE, wholeSeconds(idle)},
		{unix.TCP_KEEPINTVL, wholeSeconds(keepAliveInterval)},
		{unix.TCP_KEEPCNT, keepAliveCount},
	} {
		if err := set(unix.IPPROTO_TCP, v.name, v.value); err != nil {
			if noSuchOption(err) {
				return nil
			}
			return err
		}
	}
	return nil
}

// wholeSeconds rounds up: the kernel refuses zero.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// setReceiveBuffer fixes the receive buffer of s. Without the capability to
// exceed net.core.rmem_max, it asks what would be granted on trial, a socket
// about to be thrown away, because a socket once set cannot go back to
// autotuning.
func (o *sockopts) setReceiveBuffer(s, trial int) error {
	want := o.receiveBuffer
	if want < 0 {
		return nil
	}
	if want == 0 {
		want = DefaultReceiveBuffer
	}
	err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want)
	if !errors.Is(err, unix.EPERM) {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptInt(trial, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	granted, err := unix.GetsockoptInt(trial, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if !worthSetting(want, granted/2) { // the kernel doubles it, socket(7)
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUF, want))
}

// SetSendBuffer fixes how many bytes the connection, and each of its subflows, may hold
// unacknowledged; the kernel tunes them no longer. Subflows that join later inherit it.
// Without CAP_NET_ADMIN the kernel grants net.core.wmem_max; where that is less, nothing
// is changed, and the error is an fs.ErrPermission.
func (c *Conn) SetSendBuffer(bytes int) error {
	var err error
	cerr := c.control(func(fd int) { err = setSendBuffer(fd, bytes) })
	if cerr != nil {
		return cerr
	}
	return err
}

// setSendBuffer asks a socket that is thrown away what would be granted, as
// setReceiveBuffer does.
func setSendBuffer(fd, bytes int) error {
	half := bytes / 2 // the kernel doubles it, socket(7)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, half)
	if !errors.Is(err, unix.EPERM) {
		return os.NewSyscallError("setsockopt SO_SNDBUFFORCE", err)
	}
	trial, serr := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if serr != nil {
		return os.NewSyscallError("socket", serr)
	}
	defer unix.Close(trial)
	serr = unix.SetsockoptInt(trial, unix.SOL_SOCKET, unix.SO_SNDBUF, half)
	granted, gerr := unix.GetsockoptInt(trial, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if serr = errors.Join(serr, gerr); serr != nil {
		return os.NewSyscallError("setsockopt SO_SNDBUF", serr)
	}
	if granted/2 < half {
		return fmt.Errorf("a send buffer of %d bytes needs CAP_NET_ADMIN, or net.core.wmem_max=%d: %w", bytes, half, err)
	}
	return os.NewSyscallError("setsockopt SO_SNDBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, half))
}

// worthSetting decides whether a receive buffer of the bytes that the kernel
// grants is better than autotuning.
func worthSetting(want, granted int) bool { return granted >= min(want, minReceiveBuffer) }

// noSuchOption reports whether err says that the kernel lacks a socket option
// for this protocol.
func noSuchOption(err error) bool {
	return errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EOPNOTSUPP)
}

// An interfaceError says which interface a socket could not be bound to.
type interfaceError struct {
	name string
	err  error
}

func (e *interfaceError) Error() string { return "bind to interface " + e.name + ": " + e.err.Error() }
func (e *interfaceError) Unwrap() error { return e.err }

// familyOf returns the address family of the sockets of a network of package
// net.
func familyOf(network string) int {
	if network == "tcp4" {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// controlled runs prepare on the descriptor of c.
func (o *sockopts) controlled(c syscall.RawConn) (reason FallbackReason, err error) {
	if cerr := c.Control(func(fd uintptr) { reason, err = o.prepare(int(fd)) }); cerr != nil {
		return FallbackNone, cerr
	}
	return reason, err
}

// getsockopt fills b with a socket option and returns how much of it the kernel
// filled. x/sys has it for known types only.
func getsockopt(fd, level, name int, b []byte) (int, error) {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("getsockopt", errno)
	}
	return int(min(n, uint32(len(b)))), nil
}
