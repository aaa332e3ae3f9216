package relay

import (
	"crypto/sha256"
	"errors"
	"io"
	"syscall"
	"testing"
)

var pairs = [][2]link{
	{linkTCP, linkTCP},
	{linkTCP, linkMPTCP}, // splice one way, copy the other
	{linkTCP, linkTLS},
	{linkTLS, linkTLS},
	{linkTCP, linkPlainTLS},
	{linkOther, linkTCP},
	{linkOther, linkTLS},
	{linkTCP, linkFramed},
	{linkFramed, linkTCP},
	{linkFramedTLS, linkTCP},
	{linkTCP, linkFramedTLS},
	{linkOther, linkFramedOther},
}

func eachPair(t *testing.T, f func(t *testing.T, a, b link)) {
	eachOf(t, pairs, f)
}

func eachOf(t *testing.T, pairs [][2]link, f func(t *testing.T, a, b link)) {
	for _, p := range pairs {
		t.Run(p[0].name+"-"+p[1].name, func(t *testing.T) { f(t, p[0], p[1]) })
	}
}

func TestBothWaysAtOnce(t *testing.T) {
	const size = 24 << 20
	eachPair(t, func(t *testing.T, la, lb link) {
		r := start(t, la, lb, Config{})
		type sent struct {
			sum [sha256.Size]byte
			err error
		}
		fromA, fromB := make(chan sent, 1), make(chan sent, 1)
		send := func(w Stream, n int, seed uint64, c chan sent) {
			sum, err := sendRandom(w, n, seed)
			c <- sent{sum, err}
		}
		go send(r.A, size, 1, fromA)
		go send(r.B, size/2, 2, fromB)
		type got struct {
			sum [sha256.Size]byte
			n   int64
			err error
		}
		atA := make(chan got, 1)
		go func() {
			sum, n, err := receive(r.A)
			atA <- got{sum, n, err}
		}()
		sum, n, err := receive(r.B)
		sa, sb, ga := <-fromA, <-fromB, <-atA
		if sa.err != nil || sb.err != nil || ga.err != nil || err != nil {
			t.Fatalf("a: send %v receive %v, b: send %v receive %v", sa.err, ga.err, sb.err, err)
		}
		if n != size || sum != sa.sum {
			t.Errorf("a to b: %d of %d bytes, or other bytes", n, size)
		}
		if ga.n != size/2 || ga.sum != sb.sum {
			t.Errorf("b to a: %d of %d bytes, or other bytes", ga.n, size/2)
		}
		res := r.wait()
		if res.Reason != BothEnded || res.Err != nil {
			t.Errorf("result %v, %v", res.Reason, res.Err)
		}
		if res.AToB != size || res.BToA != size/2 {
			t.Errorf("result counts %d, %d", res.AToB, res.BToA)
		}
		if a, b := r.counters.AToB.Load(), r.counters.BToA.Load(); a != size || b != size/2 {
			t.Errorf("counters %d, %d", a, b)
		}
	})
}

func TestHalfClose(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		for _, swap := range []bool{false, true} {
			r := start(t, la, lb, Config{})
			near, far := r.A, r.B
			if swap {
				near, far = far, near
			}
			mustWrite(t, near, "question")
			if err := near.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(far); err != nil || string(got) != "question" {
				t.Fatalf("got %q, %v", got, err)
			}
			// The other direction goes on after that.
			mustWrite(t, far, "answer")
			buf := make([]byte, 6)
			if _, err := io.ReadFull(near, buf); err != nil || string(buf) != "answer" {
				t.Fatalf("got %q, %v", buf, err)
			}
			mustWrite(t, far, "more")
			if err := far.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(near); err != nil || string(got) != "more" {
				t.Fatalf("got %q, %v", got, err)
			}
			if res := r.wait(); res.Reason != BothEnded {
				t.Errorf("result %v, %v", res.Reason, res.Err)
			}
		}
	})
}

func TestReset(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		for _, swap := range []bool{false, true} {
			r := start(t, la, lb, Config{})
			near, far := r.A, r.B
			want := ReadErrorA
			if swap {
				near, far, want = far, near, ReadErrorB
			}
			mustWrite(t, near, "half of it")
			buf := make([]byte, 10)
			if _, err := io.ReadFull(far, buf); err != nil {
				t.Fatal(err)
			}
			reset(near)
			if n, err := far.Read(buf); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("peer got %d bytes and %v instead of a reset", n, err)
			} else if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("peer got %v", err)
			}
			res := r.wait()
			var op *Error
			if res.Reason != want || !errors.As(res.Err, &op) || !errors.Is(res.Err, syscall.ECONNRESET) {
				t.Errorf("result %v, %v", res.Reason, res.Err)
			}
		}
	})
}

func mustWrite(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}
