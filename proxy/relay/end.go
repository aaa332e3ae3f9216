package relay

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is a connection whose sending direction can be closed on its own.
// *net.TCPConn, *mptcpsock.Conn and *tls.Conn are Streams. Any other type works,
// too, through Read and Write; it should have SetLinger, without which a broken
// transfer can only be closed, not reset.
type Stream interface {
	net.Conn
	CloseWrite() error
}

// kind is how a stream is read and written.
type kind uint8

const (
	kindOther kind = iota // through its Read and Write methods
	kindTCP               // plain TCP, on the descriptor
	kindMPTCP             // MPTCP, fallen back or not, on the descriptor
	kindTLS               // *tls.Conn over a RecordConn
)

var kindNames = [...]string{kindOther: "other", kindTCP: "tcp", kindMPTCP: "mptcp", kindTLS: "tls"}

func (k kind) String() string { return kindNames[k] }

// isSocket says whether the descriptor carries the payload bytes themselves.
func (k kind) isSocket() bool { return k == kindTCP || k == kindMPTCP }

// end is one of the two connections.
type end struct {
	stream Stream
	kind   kind
	raw    syscall.RawConn // the socket; also of the socket below TLS; nil for kindOther
	tls    *tls.Conn       // kindTLS only
	rec    *RecordConn     // kindTLS only
	framed *Framed         // the stream on stream; nil: stream carries no other
}

func (e *end) init(s Stream) {
	f, ok := s.(*Framed)
	if !ok {
		e.initStream(s)
		return
	}
	if f.below.stream == nil { // the same for all streams that the connection carries
		f.below.initStream(f.Stream)
	}
	*e = f.below
	e.framed = f
}

func (e *end) initStream(s Stream) {
	e.stream = s
	tc, ok := s.(*tls.Conn)
	if !ok {
		e.raw, e.kind = rawSocket(s)
		return
	}
	if rec := recordConn(s); rec != nil && rec.raw != nil {
		e.kind, e.tls, e.rec, e.raw = kindTLS, tc, rec, rec.raw
	}
}

// recordConn returns what lies between TLS and the socket, nil if there is none.
func recordConn(s Stream) *RecordConn {
	tc, ok := s.(*tls.Conn)
	if !ok {
		return nil
	}
	rec, _ := tc.NetConn().(*RecordConn)
	return rec
}

// rawSocket returns the descriptor of s when its payload may be moved beneath
// the Read and Write methods. A type that merely embeds a *net.TCPConn also
// has SyscallConn, but may have a Read of its own (bytes peeked at, say), so
// only the two types that are known to add nothing pass: *net.TCPConn, and
// *mptcpsock.Conn, known by its IsMultipath method.
func rawSocket(s net.Conn) (syscall.RawConn, kind) {
	type multipathConn interface {
		syscall.Conn
		IsMultipath() (bool, error)
	}
	var sc syscall.Conn
	switch c := s.(type) {
	case *net.TCPConn:
		sc = c
	case multipathConn:
		sc = c
	default:
		return nil, kindOther
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, kindOther
	}
	k := kindTCP
	if err := raw.Control(func(fd uintptr) {
		// A socket that fell back to TCP stays an MPTCP socket to the kernel.
		if p, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); err == nil && p == unix.IPPROTO_MPTCP {
			k = kindMPTCP
		}
	}); err != nil {
		return nil, kindOther // closed already: its Read will say so
	}
	return raw, k
}

// reset closes the connection so that its peer sees an error, not an end of
// data. Linux honours SO_LINGER 0 on MPTCP sockets, too, fallen back or not
// (seen on 6.18: the peer's read gives ECONNRESET).
func (e *end) reset() {
	conn := e.socket() // without close_notify, which would be an end of data
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0) // fails only on a socket that is dead already
	}
	_ = conn.Close()
}

// keepAlive has the kernel find out when the other side of a plain TCP connection is gone.
// On the loopback nobody vanishes silently.
func (e *end) keepAlive(cfg net.KeepAliveConfig) {
	conn, ok := e.stream.(*net.TCPConn)
	if !ok {
		return // a leg has its own
	}
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok && !local.IP.IsLoopback() {
		_ = conn.SetKeepAliveConfig(cfg) // fails only on a socket that is dead already
	}
}

// finish closes the connection, whose ends of data were delivered to the sockets.
// One that another stream can follow on is left as it should be for that, with
// what was read ahead.
func (e *end) finish() (kept bool) {
	if e.framed != nil && e.framed.kept() && e.stream.SetDeadline(time.Time{}) == nil {
		return true
	}
	e.release()
	_ = e.stream.Close()
	return false
}

// release gives back what was read ahead and is not wanted any more.
func (e *end) release() {
	if e.rec != nil {
		e.rec.giveBack()
	}
}

// What a peer has sent before it went may wait for a slow reader still, at the other end of
// a leg. slowReader is the rate in bytes a second that is waited for, mostWaiting is how
// much can wait.
const (
	slowReader  = 32 << 10
	mostWaiting = 8 << 20
)

// askWhetherThere has the kernel ask, once a period, whether a peer is there that has ended
// its data after moved bytes. Its kernel forgets a connection that no program has any more
// after a while (net.ipv4.tcp_fin_timeout, 60 s), and says so only when it is asked.
func (e *end) askWhetherThere(period time.Duration, moved uint64) {
	conn, ok := e.stream.(*net.TCPConn)
	if !ok || e.kind != kindTCP {
		return // a leg has its own
	}
	reading := time.Duration(min(moved, mostWaiting)/slowReader) * time.Second
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: period + reading, Interval: period, Count: -1})
}

// dismiss ends a connection to whose peer everything was delivered, and nobody is left to
// hear it. A leg is reset, so that the other end learns of it, unless something is under
// way there. A destination or application gets no reset, which would take from it what it
// has not read yet.
func (e *end) dismiss() {
	e.release()
	if e.kind != kindTCP && e.allArrived() {
		e.reset()
		return
	}
	_ = e.socket().Close()
}

// allArrived reports whether the peer's kernel has acknowledged everything.
func (e *end) allArrived() bool {
	left := 1
	if e.raw == nil {
		return false
	}
	err := e.raw.Control(func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			left = n
		}
	})
	return err == nil && left == 0
}

// socket is the stream without TLS, whose goodbye may have to wait.
func (e *end) socket() net.Conn {
	if tc, ok := net.Conn(e.stream).(*tls.Conn); ok {
		return tc.NetConn()
	}
	return e.stream
}
