package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// FuzzRecordCursor feeds a stream in arbitrary pieces and compares the borders
// found with those of a parser that sees it whole.
func FuzzRecordCursor(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 2, 'a', 'b', 21, 3, 3, 0, 0, 22}, uint8(3), uint8(2))
	f.Add([]byte{23, 3, 3, 255, 255}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece, read uint8) {
		want := map[int]bool{}
		for at := 0; at+recordHeader <= len(stream); {
			at += recordHeader + int(binary.BigEndian.Uint16(stream[at+3:]))
			want[at] = true
		}
		var c recordCursor
		for at := 0; at < len(stream); {
			seen := stream[at:min(len(stream), at+1+int(piece))]
			span := c.span(seen)
			if span < 1 || span > len(seen) {
				t.Fatalf("span %d of %d bytes", span, len(seen))
			}
			n := min(span, 1+int(read))
			for i := at + 1; i < at+n; i++ {
				if want[i] {
					t.Fatalf("bytes on both sides of the border at %d handed out together", i)
				}
			}
			c.advance(seen[:n])
			at += n
			if atBorder := c == (recordCursor{}); atBorder != want[at] {
				t.Fatalf("at %d: border %v, want %v", at, atBorder, want[at])
			}
		}
	})
}

func record(body string) []byte {
	return append([]byte{23, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestRecordConnRead(t *testing.T) {
	near, far := linkTCP.dial(t)
	c := NewRecordConn(near)
	far.Write(append(record("first"), record("second")...))
	far.CloseWrite()
	if err := c.WaitReadable(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for _, want := range []string{"first", "second"} {
		n, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], record(want)) {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	if n := buffers.inUse(); n != 0 {
		t.Errorf("%d buffers in use", n)
	}
	for range 2 {
		if err := c.WaitReadable(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != io.EOF {
			t.Errorf("got %v, want io.EOF", err)
		}
	}
}

func TestRecordConnDeadline(t *testing.T) {
	near, far := linkTCP.dial(t)
	c := NewRecordConn(near)
	c.SetReadDeadline(past)
	if err := c.WaitReadable(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("WaitReadable: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	// As with any net.Conn, a deadline that is moved makes it work again.
	c.SetReadDeadline(time.Now().Add(patience))
	far.Write([]byte{1})
	if n, err := c.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
}

func TestRecordConnCork(t *testing.T) {
	near, far := linkTCP.dial(t)
	far.SetDeadline(time.Now().Add(patience))
	c := NewRecordConn(near)
	c.cork(level16K)
	big := bytes.Repeat([]byte("y"), 20<<10)
	var want []byte
	for _, p := range [][]byte{[]byte("abc"), []byte("def")} {
		want = append(want, p...)
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	far.SetReadDeadline(past)
	if n, err := far.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes left a corked connection (%v)", n, err)
	}
	far.SetReadDeadline(time.Now().Add(patience))
	c.Write(big) // more than fits: everything goes, in order
	c.Write([]byte("end"))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	want = append(append(want, big...), "end"...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes arrived (%v)", err)
	}
	if n := buffers.inUse(); n != 0 {
		t.Errorf("%d buffers in use", n)
	}
	// A lost batch must not be followed by later records.
	c.Cork()
	c.Write([]byte("lost"))
	c.SetWriteDeadline(past)
	if err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
	c.SetWriteDeadline(time.Time{})
	if _, err := c.Write([]byte("later")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write after a lost batch: %v", err)
	}
}

// crypto/tls gives its own close_notify five seconds and shuts the connection
// for writing after it; neither deadline may reach the socket, which may need
// longer on a bad path.
func TestEndOfDataHasNoDeadline(t *testing.T) {
	near, far := linkTLS.dial(t)
	var d direction
	d.dst = new(end)
	d.dst.init(near)
	if err := d.endTLS(); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("peer sees %v, want io.EOF", err)
	}
	if _, err := d.dst.rec.Write([]byte("x")); err != nil {
		t.Errorf("the socket got a deadline: %v", err)
	}
}
