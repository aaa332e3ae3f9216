package relay

// recordHeader is the length of a TLS record's header: type, version and a
// big-endian length (RFC 8446 section 5.1).
const recordHeader = 5

// recordCursor follows the borders of TLS records in a stream of bytes. The
// zero value stands at the begin of a record.
type recordCursor struct {
	have int // bytes of the header seen, 0 to 4; 5: inside the body
	left int // bytes of the body to come
	size uint16
}

// span is how many of the bytes in b, which come next in the stream, belong to
// the record that the cursor is in.
func (c *recordCursor) span(b []byte) int {
	if c.have == recordHeader {
		return min(c.left, len(b))
	}
	rest := recordHeader - c.have
	if len(b) < rest {
		return len(b)
	}
	after := *c
	after.header(b[:rest])
	return min(rest+int(after.size), len(b))
}

// advance moves the cursor behind b, which must not reach beyond the record.
func (c *recordCursor) advance(b []byte) {
	if c.have < recordHeader {
		n := min(recordHeader-c.have, len(b))
		c.header(b[:n])
		b = b[n:]
		if c.have < recordHeader {
			return
		}
		c.left = int(c.size)
	}
	if c.left -= len(b); c.left == 0 {
		*c = recordCursor{}
	}
}

// header takes header bytes into account.
func (c *recordCursor) header(b []byte) {
	for _, x := range b {
		if c.have >= 3 {
			c.size = c.size<<8 | uint16(x)
		}
		c.have++
	}
}
