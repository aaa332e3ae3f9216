package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// linksFramed are the framed ends that a relay has on one side.
var linksFramed = []link{linkFramed, linkFramedTLS, linkFramedOther}

// TestNextStream carries several streams over one connection, of which the relay
// has one end and a plain user of Framed the other.
func TestNextStream(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			near, far := l.dial(t)
			_ = far.SetDeadline(time.Now().Add(patience))
			leg, peer := near.(*Framed), far.(*Framed)
			for i, text := range []string{"first", "", strings.Repeat("third ", 30_000), "last"} {
				if i > 0 {
					if err := errors.Join(leg.Next(), peer.Next()); err != nil {
						t.Fatal(err)
					}
				}
				res := carry(t, leg, peer, text)
				if !res.Kept || res.Reason != BothEnded || res.AToB != uint64(len(text)) || res.BToA != uint64(len(text)) {
					t.Fatalf("stream %d: %+v", i, res)
				}
			}
			_ = leg.Close()
			if n, err := peer.Stream.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("got %d bytes, %v, behind the last stream", n, err)
			}
		})
	}
}

// carry relays between a fresh application and leg, whose peer sends back what
// it gets.
func carry(t *testing.T, leg, peer *Framed, text string) Result {
	t.Helper()
	near, app := linkTCP.dial(t)
	_ = app.SetDeadline(time.Now().Add(patience))
	result := make(chan Result, 1)
	go func() { result <- Run(context.Background(), near, leg, Config{}, nil) }()
	go func() { mustWrite(t, app, text); _ = app.CloseWrite() }()
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != text {
		t.Fatalf("the peer got %d bytes, %v", len(got), err)
	}
	mustWrite(t, peer, text)
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(app); err != nil || string(back) != text {
		t.Fatalf("the application got %d bytes back, %v", len(back), err)
	}
	select {
	case res := <-result:
		return res
	case <-time.After(patience):
		t.Fatal("Run did not return")
		panic("unreachable")
	}
}

// TestLongStreamIsNotKept: a stream beyond the limit ends with its connection.
func TestLongStreamIsNotKept(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			near, far := l.dial(t)
			_ = far.SetDeadline(time.Now().Add(patience))
			res := carry(t, near.(*Framed), far.(*Framed), strings.Repeat("x", FramedLimit+1))
			if res.Kept || res.Reason != BothEnded {
				t.Errorf("%+v", res)
			}
			if err := near.(*Framed).Next(); err == nil {
				t.Error("another stream can follow")
			}
		})
	}
}

// TestFramedCutOff: the connection's end before the stream's is an error.
func TestFramedCutOff(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			r := start(t, linkTCP, l, Config{})
			mustWrite(t, r.B, "half of it")
			if err := r.B.(*Framed).Stream.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.A)
			if string(got) != "half of it" || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the application got %q, %v", got, err)
			}
			if res := r.wait(); res.Reason != ReadErrorB || res.Kept || !errors.Is(res.Err, io.ErrUnexpectedEOF) {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestBytesBehindTheEnd: nobody may speak before the other direction has ended.
func TestBytesBehindTheEnd(t *testing.T) {
	r := start(t, linkTCP, linkFramed, Config{})
	if _, err := r.B.(*Framed).Stream.Write([]byte{0, 1, 'x', 0, 0, 5}); err != nil {
		t.Fatal(err)
	}
	if res := r.wait(); res.Reason != ReadErrorB || !errors.Is(res.Err, errBeyondEnd) {
		t.Errorf("%+v", res)
	}
}

func TestStrip(t *testing.T) {
	tests := []struct {
		name, in, want string
		state          frameState
		err            error
	}{
		{"nothing", "", "", framesRun, nil},
		{"one frame", "\x00\x03abc", "abc", framesRun, nil},
		{"two frames", "\x00\x01a\x00\x02bc", "abc", framesRun, nil},
		{"part of a header", "\x00\x01a\x00", "a", framesRun, nil},
		{"part of a frame", "\x01\x00abc", "abc", framesRun, nil},
		{"an end", "\x00\x01a\x00\x00", "a", framesDone, nil},
		{"only an end", "\x00\x00", "", framesDone, nil},
		{"more than an end", "\x00\x00a", "", framesDone, errBeyondEnd},
		{"the rest", "\x00\x01a\xff\xff\x00\x00b", "a\x00\x00b", framesRest, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for step := 1; step <= max(len(tt.in), 1); step++ { // however it is cut
				var f deframer
				var got []byte
				var err error
				for in := []byte(tt.in); len(in) > 0 && err == nil; {
					p := in[:min(step, len(in))]
					in = in[len(p):]
					var n int
					n, err = f.strip(p)
					got = append(got, p[:n]...)
				}
				if string(got) != tt.want || f.state != tt.state || !errors.Is(err, tt.err) {
					t.Errorf("in steps of %d: %q, state %d, %v", step, got, f.state, err)
				}
			}
		})
	}
}

// FuzzStrip: any bytes in any pieces give the same stream, and what framer has
// framed comes out as it was.
func FuzzStrip(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x00"), 2)
	f.Add([]byte("\xff\xffabc"), 1)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 {
			t.Skip()
		}
		var whole deframer
		all := bytes.Clone(in)
		n, wholeErr := whole.strip(all)
		var pieces deframer
		var got []byte
		var err error
		for rest := bytes.Clone(in); len(rest) > 0 && err == nil; {
			p := rest[:min(step, len(rest))]
			rest = rest[len(p):]
			var n int
			n, err = pieces.strip(p)
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, all[:n]) || pieces != whole && err == nil || !errors.Is(err, wholeErr) {
			t.Errorf("%q and %q, %+v and %+v, %v and %v", got, all[:n], pieces, whole, err, wholeErr)
		}
		if len(in) == 0 {
			return
		}
		var out framer
		framed := append(make([]byte, frameHeader), in[:min(len(in), frameMost)]...)
		out.frame(framed)
		var back deframer
		if n, err := back.strip(framed); err != nil || !bytes.Equal(framed[:n], in[:min(len(in), frameMost)]) {
			t.Errorf("%d of %d bytes came back, %v", n, len(in), err)
		}
	})
}
