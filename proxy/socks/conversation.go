package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"mpproxy/proxy"
)

// conversation is the connection of one handshake. It reads ahead. It holds small
// answers until the next read would have to wait, so that the answers to several
// questions leave as one segment.
type conversation struct {
	conn     net.Conn
	held     []byte
	buf      [conversationBuffer]byte
	from, to int   // what is unread in buf
	err      error // of the last read of conn
	starved  bool  // err was met: it is what ended the conversation
	any      bool  // something was read
	known    bool  // the peer is authenticated
}

// conversationBuffer has space for all that a usual peer sends in one flight.
// A longer one takes more reads.
const conversationBuffer = 512

func (c *conversation) Read(p []byte) (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(p, c.buf[c.from:c.to])
	c.from += n
	return n, nil
}

// fill waits until something is in the buffer.
func (c *conversation) fill() error {
	for c.from == c.to {
		if c.err == nil {
			c.err = c.flush()
		}
		if c.err != nil {
			c.starved = true
			return c.err
		}
		c.from = 0
		c.to, c.err = c.conn.Read(c.buf[:])
		c.any = c.any || c.to > 0
	}
	return nil
}

// peek returns the next byte and leaves it.
func (c *conversation) peek() (byte, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	return c.buf[c.from], nil
}

// rest returns a copy of what is unread, nil for nothing.
func (c *conversation) rest() []byte { return append([]byte(nil), c.buf[c.from:c.to]...) }

// earlyHeader is the header of a frame (relay.Framed), which holds its length.
const earlyHeader = 2

// frame returns the whole frame that begins behind a request, nil for none. Its bytes left
// the peer together: what is not read yet is on its way, or in TLS's own buffer.
func (c *conversation) frame() ([]byte, error) {
	b := c.rest()
	if len(b) == 0 {
		return nil, nil
	}
	b, err := c.complete(b, earlyHeader)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(b))
	if size == 0 || size > EarlyLimit || len(b) > earlyHeader+size {
		return nil, fmt.Errorf("%w: behind a request comes no frame of 1 to %d bytes", ErrProtocol, EarlyLimit)
	}
	return c.complete(b, earlyHeader+size)
}

// complete reads until b has n bytes.
func (c *conversation) complete(b []byte, n int) ([]byte, error) {
	have := len(b)
	if have >= n {
		return b, nil
	}
	b = append(b, make([]byte, n-have)...)
	if _, c.err = io.ReadFull(c.conn, b[have:]); c.err != nil {
		c.starved = true
		return nil, c.err
	}
	return b, nil
}

func (c *conversation) hold(b ...byte) { c.held = append(c.held, b...) }

func (c *conversation) refuse(o proxy.Outcome) {
	c.hold(replyMessage(o, netip.AddrPort{})...)
}

func (c *conversation) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.held)
	c.held = nil
	return err
}

// explain turns what ended the conversation into one of this package's errors. The
// library drops the cause of some of its errors, so that of the last read goes
// first.
func (c *conversation) explain(err error) error {
	for _, own := range []error{proxy.ErrAuthenticationFailed, proxy.ErrUnverified, ErrUnsupportedCommand, ErrProtocol} {
		if errors.Is(err, own) {
			return err
		}
	}
	var timeout net.Error
	switch {
	case !c.starved:
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case errors.As(c.err, &timeout) && timeout.Timeout():
		return fmt.Errorf("handshake not complete in time: %w", c.err)
	case !c.any || c.known && errors.Is(c.err, io.EOF):
		return fmt.Errorf("%w (%w)", proxy.ErrPeerLeft, c.err)
	}
	return fmt.Errorf("%w: it ended early: %w", ErrProtocol, c.err)
}
