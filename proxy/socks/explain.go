package socks

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// whatThisIs is what a peer of another protocol is told.
const whatThisIs = "This port is a SOCKS5 proxy (RFC 1928). Set it as SOCKS5 proxy, such as socks5h://ADDRESS:PORT."

const (
	// What a peer has sent is read up to this, and until this long after the answer: closing
	// before would reset the connection, and the answer might be lost.
	mostUnread = 64 << 10
	unreadTime = time.Second
)

// explainTo answers a peer of another protocol, whose first byte is known, and has it read
// the answer.
func (c *conversation) explainTo(first byte) {
	answer := otherAnswer(first, c.startsWith)
	if answer == nil {
		return
	}
	c.hold(answer...)
	if c.flush() != nil {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(unreadTime))
		_, _ = io.CopyN(io.Discard, c.conn, mostUnread)
	}
}

// otherAnswer returns a refusal in the protocol that begins with a byte, nil for one that
// is not known. starts reports whether more bytes follow it as given, and may wait for them.
func otherAnswer(first byte, starts func(string) bool) []byte {
	switch {
	case first == 4:
		// SOCKS4 and 4a: request rejected or failed.
		return []byte{0, 0x5b, 0, 0, 0, 0, 0, 0}
	case first == 22:
		// TLS (RFC 8446 §6.2): a fatal alert, handshake_failure. There is no room for words.
		return []byte{21, 3, 1, 0, 2, 2, 40}
	case first == 'S' && starts("SSH-"):
		return sshGoodbye()
	case first >= 'A' && first <= 'Z':
		return fmt.Appendf(nil, "HTTP/1.1 501 This is a SOCKS5 proxy\r\n"+
			"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", len(whatThisIs)+1, whatThisIs)
	}
	return nil
}

// sshGoodbye is a version and a disconnect, which a client shows (RFC 4253 §4.2, §6, §11.1).
func sshGoodbye() []byte {
	const disconnect, protocolError, block, leastPadding = 1, 2, 8, 4
	payload := binary.BigEndian.AppendUint32([]byte{disconnect}, protocolError)
	payload = binary.BigEndian.AppendUint32(payload, uint32(len(whatThisIs)))
	payload = append(payload, whatThisIs...)
	payload = binary.BigEndian.AppendUint32(payload, 0) // no language
	padding := block - (4+1+len(payload))%block
	if padding < leastPadding {
		padding += block
	}
	b := []byte("SSH-2.0-mpproxy\r\n")
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(payload)+padding))
	b = append(append(b, byte(padding)), payload...)
	return append(b, make([]byte, padding)...)
}

// startsWith reports whether what the peer sends begins with a text. It waits for as much
// as that takes, and leaves it.
func (c *conversation) startsWith(text string) bool {
	for c.to-c.from < len(text) {
		have := c.buf[c.from:c.to]
		if !bytes.HasPrefix([]byte(text), have) || c.err != nil {
			return false
		}
		var n int
		n, c.err = c.conn.Read(c.buf[c.to:])
		c.to += n
	}
	return bytes.HasPrefix(c.buf[c.from:c.to], []byte(text))
}
