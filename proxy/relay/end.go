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
	conn := net.Conn(e.stream)
	if tc, ok := conn.(*tls.Conn); ok {
		conn = tc.NetConn() // no close_notify: that would be an end of data
	}
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
