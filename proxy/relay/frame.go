package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// A framed connection carries one stream after the other. Each direction of a
// stream is a row of frames, and ends with one of two marks:
//
//	length(2) data       1 to 65,534 bytes of the stream, big-endian length
//	0x0000               the end of this direction; the connection stays
//	0xFFFF               all that follows, to the connection's own end, is the stream's
//
// A sender puts the last mark once it has sent FramedLimit bytes: a long stream
// gains nothing from keeping the connection, and is moved faster without frames.
// When both directions have ended with 0x0000 the connection is free for another
// stream, which the client begins.
const (
	frameHeader = 2
	markEnd     = 0x0000
	markRest    = 0xFFFF
)

// FramedLimit is how many bytes of a direction travel in frames.
const FramedLimit = 256 << 10

var errNotOver = errors.New("relay: the stream before is not over")

// frameState says how far a direction of a framed stream is.
type frameState uint8

const (
	framesRun  frameState = iota // more frames follow
	framesDone                   // the end was marked
	framesRest                   // no more frames: the rest of the connection is the stream's
)

// deframer takes the frames of one direction off. Its zero value is at the
// begin of a stream.
type deframer struct {
	state frameState
	left  int  // of the frame at hand
	half  bool // the first byte of a header is in first
	first byte
}

// strip moves the stream's bytes in b to its front, and returns how many they are
// and what is behind the end of the stream.
func (f *deframer) strip(b []byte) (n int, behind []byte) {
	for len(b[n:]) > 0 {
		rest := b[n:]
		switch {
		case f.state == framesRest:
			return len(b), nil
		case f.state == framesDone:
			return n, rest
		case f.left > 0:
			took := min(f.left, len(rest))
			f.left -= took
			n += took
			continue
		}
		taken := f.header(rest)
		copy(rest, rest[taken:])
		b = b[:len(b)-taken]
	}
	return n, nil
}

// header reads as much of a header as there is in b, which is not empty.
func (f *deframer) header(b []byte) (taken int) {
	if !f.half {
		f.first, f.half = b[0], true
		if taken = 1; len(b) == 1 {
			return taken
		}
	}
	f.half = false
	switch length := int(binary.BigEndian.Uint16([]byte{f.first, b[taken]})); length {
	case markEnd:
		f.state = framesDone
	case markRest:
		f.state = framesRest
	default:
		f.left = length
	}
	return taken + 1
}

// atEnd explains the connection's own end.
func (f *deframer) atEnd() error {
	if f.state == framesRun {
		return io.ErrUnexpectedEOF // a stream that is cut off must not look complete
	}
	return io.EOF
}

// framer puts the frames of one direction on.
type framer struct {
	state frameState
	sent  int
}

// frame writes the header of p, whose first bytes are left free for it. From the
// one on that crosses FramedLimit there are no more headers.
func (f *framer) frame(p []byte) {
	n := len(p) - frameHeader
	if f.sent += n; f.sent > FramedLimit {
		f.state = framesRest
		n = markRest
	}
	binary.BigEndian.PutUint16(p, uint16(n))
}

// end returns the mark of the end.
func (f *framer) end() []byte {
	f.state = framesDone
	return endMark[:]
}

// endMark is markEnd as it is sent.
var endMark [frameHeader]byte

// Framed is a Stream on a connection that outlives it. Reading, writing and
// CloseWrite are those of the stream; Close is the connection's. It is made for
// [Run], which leaves the connection open when the stream has come to both its
// ends within frames, and says so in Result.Kept.
type Framed struct {
	Stream

	in     deframer
	out    framer
	behind []byte // read from the connection behind the end of the stream
	below  end    // Stream, once Run has looked at it
}

// NewFramed begins a stream on a connection, at both of whose ends there must be
// one.
func NewFramed(s Stream) *Framed { return &Framed{Stream: s} }

// Next begins another stream. The one before must have been kept.
func (f *Framed) Next() error {
	if !f.kept() {
		return errNotOver
	}
	f.in, f.out = deframer{}, framer{}
	return nil
}

func (f *Framed) kept() bool { return f.in.state == framesDone && f.out.state == framesDone }

// Append appends p as a frame to b, which the caller sends ahead of all other data of the
// stream. p is 1 to 65,534 bytes, and no more than FramedLimit.
func (f *Framed) Append(b, p []byte) []byte {
	from := len(b)
	b = append(append(b, make([]byte, frameHeader)...), p...)
	f.out.frame(b[from:])
	return b
}

// Take takes the frame off that the peer's end got with Append, and returns its data.
// b is the whole frame; Take changes it.
func (f *Framed) Take(b []byte) []byte { return b[:f.strip(b)] }

// Early reports whether bytes behind the end of the last stream were read already.
// They come from a peer that has begun the next one; whoever waits for its turn
// has not spoken yet.
func (f *Framed) Early() bool {
	rec := recordConn(f.Stream)
	return len(f.behind) > 0 || rec != nil && rec.ahead != nil
}

// strip takes the frames off what was read: see deframer.strip.
func (f *Framed) strip(b []byte) (n int) {
	n, behind := f.in.strip(b)
	f.behind = bytes.Clone(behind)
	return n
}

// Between is the connection as it is between two streams: what is read there is
// behind the end of the last one.
func (f *Framed) Between() net.Conn { return between{f.Stream, f} }

type between struct {
	net.Conn
	f *Framed
}

func (b between) Read(p []byte) (int, error) {
	if len(b.f.behind) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.f.behind)
	if b.f.behind = b.f.behind[n:]; len(b.f.behind) == 0 {
		b.f.behind = nil
	}
	return n, nil
}

// Read reads bytes of the stream; io.EOF is its end.
func (f *Framed) Read(p []byte) (int, error) {
	for f.in.state != framesDone && len(p) > 0 {
		n, err := f.Stream.Read(p)
		n = f.strip(p[:n])
		if err == io.EOF {
			err = f.in.atEnd()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, io.EOF
}

// Write writes p as frames.
func (f *Framed) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		if f.out.state == framesRest {
			n, err := f.Stream.Write(p)
			return written + n, err
		}
		n := min(len(p), recordSend-frameHeader)
		b := append(make([]byte, frameHeader, frameHeader+n), p[:n]...)
		f.out.frame(b)
		if _, err := f.Stream.Write(b); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// CloseWrite ends the stream's sending direction.
func (f *Framed) CloseWrite() error {
	if f.out.state == framesRest {
		return f.Stream.CloseWrite()
	}
	_, err := f.Stream.Write(f.out.end())
	return err
}
