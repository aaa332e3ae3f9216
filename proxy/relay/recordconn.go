package relay

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RecordConn is put between a socket and TLS:
//
//	tc := tls.Client(relay.NewRecordConn(conn), cfg)
//	if err := tc.HandshakeContext(ctx); err != nil { … }
//	relay.Run(ctx, app, tc, relay.Config{}, nil, end)
//
// crypto/tls reads twice for each record and writes once for each. RecordConn
// reads ahead into a large pooled buffer, which it takes only when the socket
// has data and gives back when it is empty, and it can join the records of
// several writes into one ([RecordConn.Cork]). It never hands out bytes beyond
// the current record, so that TLS holds nothing unread after a Read with at
// least 16 KiB of space, and WaitReadable tells all there is to know.
//
// Set DynamicRecordSizingDisabled in the tls.Config: small records at the
// start of each burst only cost here. Do the handshake in a goroutine of its
// own that ends: it needs a larger stack than the pump does.
//
// Like *tls.Conn it may be read by one goroutine and written by others at the
// same time.
type RecordConn struct {
	Stream
	raw syscall.RawConn // nil: only Stream's methods

	// The reading side: one goroutine's.
	cursor     recordCursor
	ahead      *buffer // nil: nothing read ahead
	from, to   int     // what is unread in ahead
	rerr       error   // of a read that got no bytes; sticky unless a timeout
	sawEOF     bool    // the socket's end of data was reached
	aheadLevel int     // buffer level to read ahead with
	dontWait   bool    // Read returns errNotReady instead of waiting
	onInput    func(fd uintptr) bool
	holding    bool // writes wait until Read has to

	w            recordWriter
	keepDeadline atomic.Bool // SetWriteDeadline does nothing
}

// NewRecordConn wraps a connected socket, of which it is the owner then.
// Reading ahead works on *net.TCPConn and *mptcpsock.Conn; any other Stream
// works as well, but without the savings.
func NewRecordConn(s Stream) *RecordConn {
	c := &RecordConn{Stream: s}
	c.raw, _ = rawSocket(s)
	c.onInput = c.input
	c.w.conn = s
	return c
}

// errNotReady is temporary in crypto/tls's eyes: it does not end the connection.
var errNotReady error = notReadyError{}

type notReadyError struct{}

func (notReadyError) Error() string   { return "relay: no TLS bytes there yet" }
func (notReadyError) Timeout() bool   { return true }
func (notReadyError) Temporary() bool { return true }

var _ net.Error = notReadyError{}

// Read hands out bytes of one record, and waits for them if it must.
func (c *RecordConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.raw == nil {
		return c.Stream.Read(p)
	}
	if c.ahead == nil {
		if c.holding {
			if err := c.w.send(); err != nil {
				return 0, err
			}
		}
		if err := c.readAhead(); err != nil {
			return 0, err
		}
	}
	unread := c.ahead.b[c.from:c.to]
	n := copy(p, unread[:c.cursor.span(unread)])
	c.cursor.advance(unread[:n])
	if c.from += n; c.from == c.to {
		c.giveBack()
	}
	return n, nil
}

// WaitReadable waits, without holding a buffer, until at least one byte can be
// read without waiting or the end of data or an error has arrived, which the
// next Read reports. It returns an error only when the wait itself failed:
// when the deadline has passed or the connection was closed.
func (c *RecordConn) WaitReadable() error {
	if c.raw == nil || c.ahead != nil || c.rerr != nil {
		return nil
	}
	return c.raw.Read(c.onInput)
}

// readAhead takes from the socket what it has. It waits unless dontWait is set.
func (c *RecordConn) readAhead() error {
	if c.rerr == nil {
		if err := c.raw.Read(c.onInput); err != nil {
			return &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: unwrapOp(err)}
		}
	}
	if c.ahead != nil {
		return nil
	}
	if c.rerr != nil {
		return c.rerr
	}
	return errNotReady
}

// input reads ahead. It returns false to wait until the socket is readable.
func (c *RecordConn) input(fd uintptr) bool {
	buf := buffers.take(c.aheadLevel)
	n, err := ignoringEINTR(unix.Read, int(fd), buf.b)
	if n > 0 && err == nil {
		c.ahead, c.from, c.to = buf, 0, n
		return true
	}
	buffers.give(buf)
	switch {
	case err == unix.EAGAIN:
		return c.dontWait
	case err != nil:
		c.rerr = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	default:
		c.rerr, c.sawEOF = io.EOF, true
	}
	return true
}

// unwrapOp takes the *net.OpError of RawConn ("raw-read") off.
func unwrapOp(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

func (c *RecordConn) giveBack() {
	if c.ahead != nil {
		buffers.give(c.ahead)
		c.ahead, c.from, c.to = nil, 0, 0
	}
}

// Write sends p, or keeps it until Flush when corked.
func (c *RecordConn) Write(p []byte) (int, error) { return c.w.write(p) }

// Cork makes further writes wait for Flush, in a pooled buffer. What does not
// fit is sent at once. There must be a Flush for each Cork.
func (c *RecordConn) Cork() { c.w.cork(level256K) }

func (c *RecordConn) cork(level int) { c.w.cork(level) }

// Hold makes writes wait until the next Read has to wait for the peer, or until
// Release: for conversations in which both sides speak in turn, such as a
// handshake and what follows it. What belongs together leaves as one segment.
//
// This is not for speed alone. On Linux 6.18 the receiver's stream is corrupted
// now and then (about once in 4,000 connections on links without delay) when a
// subflow joins between two small writes of which the first is still under way:
// TLS's Finished and the request behind it are such a pair.
func (c *RecordConn) Hold() {
	c.holding = true
	c.w.cork(level16K)
}

// Push sends what is held and goes on holding. It may be called while nobody reads.
func (c *RecordConn) Push() error { return c.w.send() }

// Release sends what is held and ends the holding.
func (c *RecordConn) Release() error {
	c.holding = false
	return c.w.flush()
}

// Flush sends what was written since Cork, in one write, and ends the corking.
func (c *RecordConn) Flush() error { return c.w.flush() }

// SetWriteDeadline is the socket's, except while the relay has crypto/tls write
// an alert, for which that sets a deadline of its own (see endTLS).
func (c *RecordConn) SetWriteDeadline(t time.Time) error {
	if c.keepDeadline.Load() {
		return nil
	}
	return c.Stream.SetWriteDeadline(t)
}

// SetLinger is the socket's.
func (c *RecordConn) SetLinger(sec int) error {
	if l, ok := c.Stream.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

// recordWriter is the writing side of a RecordConn. It has a lock of its own
// because crypto/tls may write (an alert, a key update's answer) from the
// goroutine that reads, between the records of a corked batch.
type recordWriter struct {
	conn net.Conn

	mu     sync.Mutex
	buf    *buffer // nil: not corked
	n      int
	failed error // a batch was lost: nothing after it may be sent
}

func (w *recordWriter) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return 0, w.failed
	}
	if w.buf == nil {
		return w.conn.Write(p)
	}
	if len(p) > len(w.buf.b)-w.n {
		if err := w.sendLocked(); err != nil {
			return 0, err
		}
	}
	if len(p) > len(w.buf.b) {
		return w.conn.Write(p)
	}
	w.n += copy(w.buf.b[w.n:], p)
	return len(p), nil
}

func (w *recordWriter) cork(level int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf == nil {
		w.buf = buffers.take(level)
	}
}

func (w *recordWriter) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf == nil {
		return w.failed
	}
	err := w.sendLocked()
	buffers.give(w.buf)
	w.buf = nil
	return err
}

// send sends what is corked and goes on corking.
func (w *recordWriter) send() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sendLocked()
}

// sendLocked sends what is corked. A failure sticks, as in crypto/tls.
func (w *recordWriter) sendLocked() error {
	if w.n == 0 {
		return w.failed
	}
	_, err := w.conn.Write(w.buf.b[:w.n])
	w.n = 0
	if err != nil {
		w.failed = err
	}
	return err
}

var _ Stream = (*RecordConn)(nil)
