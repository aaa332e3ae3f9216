package socks

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"mpproxy/proxy"
	. "mpproxy/proxy/proxytest"
)

// TestReadyHandshake: a peer that agreed on methodReady may wait with its first request, and
// send one frame behind any; whoever did not may not.
func TestReadyHandshake(t *testing.T) {
	ready := Credentials{User: "alice", Password: "token", Frames: true}
	framed := bytes.Replace(ready.Greeting(), []byte{methodReady}, []byte{methodManaged}, 1)
	flight := ready.Flight(To(V4))
	long := append([]byte{0x20, 0}, strings.Repeat("x", EarlyLimit)...)
	for _, tt := range []struct {
		name  string
		in    []byte
		waits bool
		early []byte
		err   error
	}{
		{"no request yet", ready.Greeting(), true, nil, nil},
		{"a request", flight, false, nil, nil},
		{"a frame behind it", Join(flight, []byte{0, 3}, []byte("abc")), false, []byte("\x00\x03abc"), nil},
		{"as much as may be", Join(flight, long), false, long, nil},
		{"more than may be", Join(flight, []byte{0x20, 1}, make([]byte, EarlyLimit+1)), false, nil, ErrProtocol},
		{"the end of the stream", Join(flight, []byte{0, 0}), false, nil, ErrProtocol},
		{"no more frames", Join(flight, []byte{0xFF, 0xFF, 'x'}), false, nil, ErrProtocol},
		{"two frames", Join(flight, []byte{0, 1, 'a', 0, 1, 'b'}), false, nil, ErrProtocol},
		{"half a frame", Join(flight, []byte{0, 3, 'a'}), false, nil, proxy.ErrPeerLeft},
		{"half a header", Join(flight, []byte{0}), false, nil, proxy.ErrPeerLeft},
		{"a frame from an older client", Join(framed, RequestMessage(To(V4)), []byte{0, 1, 'a'}), false, nil, ErrProtocol},
	} {
		s := &Server{Auth: Alice, Frames: true}
		conn := &scriptConn{in: bytes.NewReader(tt.in), err: io.EOF}
		req, err := s.Handshake(t.Context(), conn)
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.err)
			continue
		}
		if err != nil {
			continue
		}
		if req.Waits != tt.waits || !bytes.Equal(req.Early, tt.early) || !req.Ready {
			t.Errorf("%s: waits %v, %d bytes behind it", tt.name, req.Waits, len(req.Early))
		}
		if answer := []byte{5, methodReady, 1, 0}; tt.waits && !bytes.Equal(conn.out.Bytes(), answer) {
			t.Errorf("%s: answered % x", tt.name, conn.out.Bytes())
		}
	}
}

// TestReadyNext: a frame behind a later request is taken whole, however it comes.
func TestReadyNext(t *testing.T) {
	frame := append([]byte{4, 0}, strings.Repeat("x", 1024)...)
	for name, piece := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
	} {
		in := piece(bytes.NewReader(Join(RequestMessage(To(V4)), frame)))
		req, err := (&Server{Auth: Alice, Frames: true}).Next(&scriptConn{in: in, err: io.EOF}, proxy.Identity{User: "alice"}, Agreed{true, true})
		Must(t, err)
		if name == "bytes" { // then the request was all that had come
			req.Early = append(req.Early, frame...)
		}
		if !bytes.Equal(req.Early, frame) || req.To != To(V4) {
			t.Errorf("%s: %v and %d bytes", name, req.To, len(req.Early))
		}
	}
}
