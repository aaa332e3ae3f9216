package relay

import (
	"errors"
	"io"
)

// fillTLS waits for TLS bytes without holding anything, then decrypts as many
// records as have arrived into one buffer, so that they leave in one write. It
// never waits for a further record. The first time it does not wait at all: whoever
// read the handshake may have left a part of a record that is decrypted already, of
// which the socket does not tell.
func (d *direction) fillTLS() error {
	rec := d.src.rec
	for {
		rec.aheadLevel = min(int(d.level)+1, level256K)
		if !d.looked {
			d.looked = true
		} else if err := rec.WaitReadable(); err != nil {
			return err
		}
		d.buf = buffers.take(int(d.level))
		err := d.gather(d.room())
		if errors.Is(err, errNotReady) {
			err = nil
		}
		if err == io.EOF && rec.sawEOF {
			// crypto/tls reports a bare FIN as io.EOF, too. Only close_notify
			// is an end of data (RFC 8446 section 6.1).
			err = io.ErrUnexpectedEOF
		}
		if d.n > 0 || err != nil {
			return err
		}
		d.release() // part of a record, or a session ticket
	}
}

// gather decrypts records into p until there are no more bytes, or no space for
// a whole record.
func (d *direction) gather(p []byte) error {
	rec := d.src.rec
	rec.dontWait = true
	defer func() { rec.dontWait = false }()
	for len(p)-d.n >= recordPlain {
		n, err := d.src.tls.Read(p[d.n : d.n+recordPlain])
		d.n += n
		if err != nil {
			d.adapt(d.n, len(p))
			return err
		}
	}
	if len(p) > recordPlain {
		d.adapt(len(p), len(p))
	} else {
		d.adapt(d.n, len(p)) // one record, full or not
	}
	return nil
}

// drainTLS encrypts the chunk and sends its records in one write.
func (d *direction) drainTLS() error {
	d.waitForDst()
	if d.n <= recordSend {
		if _, err := d.dst.tls.Write(d.buf.b[:d.n]); err != nil {
			return err
		}
		d.delivered(d.n)
		return nil
	}
	rec := d.dst.rec
	rec.cork(d.buf.level)
	err := d.encrypt()
	// Only the encrypted bytes are needed for the wait that may follow.
	buffers.give(d.buf)
	d.buf = nil
	if ferr := rec.Flush(); err == nil {
		err = ferr
	}
	if err == nil {
		d.delivered(d.n)
	}
	return err
}

// encrypt writes the chunk in records of our size.
func (d *direction) encrypt() error {
	for p := d.buf.b[:d.n]; len(p) > 0; {
		n, err := d.dst.tls.Write(p[:min(len(p), recordSend)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// endTLS sends close_notify, the end of data, and waits for as long as the
// socket needs to take it. (*tls.Conn).CloseWrite alone gives up after five
// seconds, which a full send buffer may take on a bad path: that would turn a
// complete transfer into a reset.
func (d *direction) endTLS() error {
	rec := d.dst.rec
	rec.cork(level16K)
	rec.keepDeadline.Store(true)
	err := d.dst.tls.CloseWrite()
	rec.keepDeadline.Store(false)
	if ferr := rec.Flush(); err == nil {
		err = ferr
	}
	return err
}
