package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	go func() { result <- runToEnd(context.Background(), near, leg, Config{}, nil) }()
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

// TestResetBehindData: what a reset cuts off must not look complete, though the
// reset comes together with the last bytes.
func TestResetBehindData(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			near, app := linkTCP.dial(t)
			leg, peer := l.dial(t)
			_ = peer.SetDeadline(time.Now().Add(patience))
			mustWrite(t, app, "half of it")
			reset(app)
			awaitReset(t, near)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			result := make(chan Result, 1)
			go func() { result <- runToEnd(ctx, near, leg, Config{}, nil) }()
			if _, err := io.ReadAll(peer); err == nil {
				cancel()
				t.Error("the peer saw a complete stream")
			}
			if res := <-result; res.Reason != ReadErrorA || res.Kept || !errors.Is(res.Err, syscall.ECONNRESET) {
				t.Errorf("%+v", res)
			}
		})
	}
}

// awaitReset waits until a reset has arrived, and leaves it in the socket.
func awaitReset(t *testing.T, s Stream) {
	t.Helper()
	raw, err := s.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var p [1]unix.PollFd
		if err := raw.Control(func(fd uintptr) {
			p[0].Fd = int32(fd)
			_, _ = unix.Poll(p[:], 0)
		}); err != nil {
			t.Fatal(err)
		}
		if p[0].Revents&unix.POLLERR != 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no reset arrived")
		}
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

// TestBytesBehindTheEnd: whoever has got both ends may speak at once, and the
// other side may get that together with the last end.
func TestBytesBehindTheEnd(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			near, far := l.dial(t)
			leg, peer := near.(*Framed), far.(*Framed)
			_ = far.SetDeadline(time.Now().Add(patience))
			app, appFar := linkTCP.dial(t)
			_ = appFar.SetDeadline(time.Now().Add(patience))
			if err := appFar.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			result := make(chan Result, 1)
			go func() { result <- runToEnd(context.Background(), app, leg, Config{}, nil) }()
			if _, err := io.ReadAll(peer); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, peer.Stream, "\x00\x01x\x00\x00next")
			if got, err := io.ReadAll(appFar); string(got) != "x" || err != nil {
				t.Fatalf("the application got %q, %v", got, err)
			}
			if res := <-result; !res.Kept || !leg.Early() {
				t.Fatalf("%+v, early %v", res, leg.Early())
			}
			mustWrite(t, peer.Stream, " words")
			_ = near.SetDeadline(time.Now().Add(patience))
			got := make([]byte, len("next words"))
			if _, err := io.ReadFull(leg.Between(), got); err != nil || string(got) != "next words" {
				t.Errorf("got %q, %v", got, err)
			}
			if leg.Early() {
				t.Error("still early")
			}
		})
	}
}

// TestEndBehindThePeers: an end that comes after the peer's is told at once, and the
// next stream begins behind it.
func TestEndBehindThePeers(t *testing.T) {
	for _, l := range linksFramed {
		t.Run(l.name, func(t *testing.T) {
			near, far := l.dial(t)
			leg, peer := near.(*Framed), far.(*Framed)
			_ = far.SetDeadline(time.Now().Add(patience))
			if res := carry(t, leg, peer, "ends first"); !res.Kept {
				t.Fatalf("%+v", res)
			}
			for range 2 {
				if err := errors.Join(leg.Next(), peer.Next()); err != nil {
					t.Fatal(err)
				}
				answerAndEnd(t, leg, peer)
				if rest, err := io.ReadAll(peer); err != nil || len(rest) > 0 {
					t.Errorf("the peer got %q, %v", rest, err)
				}
				_ = near.SetDeadline(time.Now().Add(patience))
				mustWrite(t, leg.Between(), "request")
				got := make([]byte, len("request"))
				if _, err := io.ReadFull(peer.Between(), got); err != nil || string(got) != "request" {
					t.Errorf("behind the end: %q, %v", got, err)
				}
			}
		})
	}
}

// answerAndEnd carries a stream on leg whose peer ends it first.
func answerAndEnd(t *testing.T, leg, peer *Framed) {
	t.Helper()
	near, app := linkTCP.dial(t)
	_ = app.SetDeadline(time.Now().Add(patience))
	result := make(chan Result, 1)
	go func() { result <- runToEnd(context.Background(), near, leg, Config{}, nil) }()
	mustWrite(t, peer, "answer")
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(app); string(got) != "answer" || err != nil {
		t.Fatalf("the application got %q, %v", got, err)
	}
	_ = app.CloseWrite()
	if res := <-result; !res.Kept {
		t.Fatalf("%+v", res)
	}
}

func TestStrip(t *testing.T) {
	tests := []struct {
		name, in, want, behind string
		state                  frameState
	}{
		{"nothing", "", "", "", framesRun},
		{"one frame", "\x00\x03abc", "abc", "", framesRun},
		{"two frames", "\x00\x01a\x00\x02bc", "abc", "", framesRun},
		{"part of a header", "\x00\x01a\x00", "a", "", framesRun},
		{"part of a frame", "\x01\x00abc", "abc", "", framesRun},
		{"an end", "\x00\x01a\x00\x00", "a", "", framesDone},
		{"only an end", "\x00\x00", "", "", framesDone},
		{"more than an end", "\x00\x00\x05\x01", "", "\x05\x01", framesDone},
		{"the rest", "\x00\x01a\xff\xff\x00\x00b", "a\x00\x00b", "", framesRest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for step := 1; step <= max(len(tt.in), 1); step++ { // however it is cut
				got, behind, f := stripped([]byte(tt.in), step)
				if string(got) != tt.want || string(behind) != tt.behind || f.state != tt.state {
					t.Errorf("in steps of %d: %q, behind it %q, state %d", step, got, behind, f.state)
				}
			}
		})
	}
}

// stripped strips pieces of in.
func stripped(in []byte, step int) (got, behind []byte, f deframer) {
	for rest := bytes.Clone(in); len(rest) > 0; {
		p := rest[:min(step, len(rest))]
		rest = rest[len(p):]
		n, b := f.strip(p)
		got, behind = append(got, p[:n]...), append(behind, b...)
	}
	return got, behind, f
}

// FuzzStrip: any bytes in any pieces give the same stream, and what framer has
// framed comes out as it was.
func FuzzStrip(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x00"), 2)
	f.Add([]byte("\xff\xffabc"), 1)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 || len(in) == 0 {
			t.Skip()
		}
		whole, wholeBehind, wf := stripped(in, len(in))
		got, behind, pf := stripped(in, step)
		if !bytes.Equal(got, whole) || !bytes.Equal(behind, wholeBehind) || wf != pf {
			t.Errorf("%q and %q, behind %q and %q, %+v and %+v", got, whole, behind, wholeBehind, pf, wf)
		}
		in = in[:min(len(in), markRest-1)]
		framed := append(make([]byte, frameHeader), in...)
		new(framer).frame(framed)
		if back, behind, _ := stripped(framed, step); !bytes.Equal(back, in) || len(behind) > 0 {
			t.Errorf("%d of %d bytes came back", len(back), len(in))
		}
	})
}
