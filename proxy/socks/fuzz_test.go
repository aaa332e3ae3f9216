package socks

import (
	"bytes"
	"io"
	"testing"

	. "mpproxy/proxy/proxytest"
)

// FuzzHandshake: whatever a peer sends, in whatever pieces, the handshake ends,
// and what it takes is a request with nothing lost behind it.
func FuzzHandshake(f *testing.F) {
	for _, tt := range handshakes {
		f.Add(tt.in, uint8(0), tt.auth.Anybody)
		f.Add(tt.in, uint8(3), tt.auth.Anybody)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8, open bool) {
		auth := Alice
		auth.Anybody = open
		r := &pieceReader{b: in, n: int(piece)}
		c := &scriptConn{in: r}
		req, err := (&Server{Auth: auth}).Handshake(t.Context(), c)
		if c.reads > len(in)+2 {
			t.Errorf("%d reads for %d bytes", c.reads, len(in))
		}
		if err != nil {
			if len(c.out.Bytes()) > 16 {
				t.Errorf("%d bytes for a peer that was refused", c.out.Len())
			}
			return
		}
		if (req.To.Name == "") != req.To.Addr.IsValid() || req.Who.Mode == "" {
			t.Errorf("request %+v", req)
		}
		// What was asked for, said again by the client's side, reads the same.
		again, err := (&Server{Auth: Auth{Anybody: true}}).Handshake(t.Context(), &scriptConn{in: bytes.NewReader(Credentials{}.Flight(req.To))})
		if err != nil || again.To != req.To {
			t.Errorf("%v reads as %+v, %v", req.To, again, err)
		}
		if early := append(req.Early, r.b...); !bytes.HasSuffix(in, early) {
			t.Errorf("early data %q of %q", early, in)
		}
	})
}

// FuzzAnswers: whatever a concentrator answers, reading it ends, and takes no
// byte of what follows.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{5, 2, 1, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80, 'd'}, uint8(0), true)
	f.Add([]byte{5, 0, 5, 0, 0, 3, 1, 'x', 0, 80, 'd'}, uint8(1), false)
	f.Add([]byte{5, 255}, uint8(0), true)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8, user bool) {
		cred, size := Credentials{}, 2
		if user {
			cred, size = Credentials{User: "alice", Password: "token", Frames: true}, 4
		}
		r := &pieceReader{b: in, n: int(piece)}
		if _, err := cred.ReadGreeting(r); err != nil {
			return
		}
		if taken := len(in) - len(r.b); taken != size {
			t.Fatalf("the greeting took %d bytes", taken)
		}
		answer := r.b
		if _, _, err := ReadReply(r, false); err != nil {
			return
		}
		want := map[byte]int{1: 10, 4: 22}[answer[3]]
		if want == 0 {
			want = 7 + int(answer[4])
		}
		if taken := len(answer) - len(r.b); taken != want {
			t.Fatalf("the reply % x took %d bytes, want %d", answer, taken, want)
		}
	})
}

// pieceReader gives at most n bytes at a time; 0 means all.
type pieceReader struct {
	b []byte
	n int
}

func (r *pieceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	if r.n > 0 {
		p = p[:min(r.n, len(p))]
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}
