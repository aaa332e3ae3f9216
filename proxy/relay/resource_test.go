package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventually waits for cond, which nothing signals.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// dropIdlePipes closes the pool's spare pipes, so that descriptors can be counted.
func dropIdlePipes() {
	pipes.mu.Lock()
	idle := pipes.idle
	pipes.idle, pipes.retryAt = nil, 0
	pipes.mu.Unlock()
	for _, p := range idle {
		pipes.discard(p)
	}
}

// exchange moves n bytes from one to the other.
func exchange(t *testing.T, from, to Stream, n int) {
	t.Helper()
	want := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	errc := make(chan error, 1)
	go func() {
		_, err := from.Write(want)
		errc <- err
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(to, got); err != nil {
		t.Fatal(err)
	}
	if err := <-errc; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes arrived")
	}
}

func TestIdleHoldsNothing(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		if la.other || lb.plain {
			t.Skip("the generic path reads into a buffer that it holds")
		}
		r := start(t, la, lb, Config{})
		for range 3 {
			exchange(t, r.A, r.B, 8<<20)
			exchange(t, r.B, r.A, 8<<20)
			eventually(t, "buffers and pipes given back", func() bool {
				return buffers.inUse() == 0 && pipes.inUse() == 0
			})
		}
	})
}

func TestNoDescriptorLeak(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		dropIdlePipes()
		parking := hastyParking(t)
		before := descriptors(t)
		for _, how := range []string{"clean", "reset", "cancel"} {
			r := start(t, la, lb, Config{Parking: parking})
			exchange(t, r.A, r.B, 4<<20)
			switch how {
			case "clean":
				r.A.CloseWrite()
				r.B.CloseWrite()
			case "reset":
				reset(r.A)
			case "cancel":
				r.cancel()
			}
			r.wait()
			r.A.Close()
			r.B.Close()
		}
		dropIdlePipes()
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
		if n, m := buffers.inUse(), pipes.inUse(); n != 0 || m != 0 {
			t.Errorf("%d buffers and %d pipes were not given back", n, m)
		}
	})
}

// A destination that does not read holds its source back, and what the relay
// keeps for it is one chunk.
func TestBackPressure(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		r := start(t, la, lb, Config{})
		stop := make(chan error, 1)
		var sent int
		go func() {
			buf := make([]byte, 1<<20)
			for {
				r.A.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				n, err := r.A.Write(buf)
				sent += n
				if err != nil {
					stop <- err
					return
				}
				if sent > 1<<30 {
					stop <- errors.New("1 GiB went to a peer that does not read")
					return
				}
			}
		}()
		if err := <-stop; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		// One chunk for the direction that waits, encrypted or read ahead
		// besides, and the small one of each generic reader.
		if n := buffers.inUse(); n > 4 {
			t.Errorf("%d buffers in use", n)
		}
		if n := pipes.inUse(); n > 1 {
			t.Errorf("%d pipes in use", n)
		}
		r.cancel()
		if res := r.wait(); res.Reason != Cancelled {
			t.Errorf("result %v, %v", res.Reason, res.Err)
		}
		if n, m := buffers.inUse(), pipes.inUse(); n != 0 || m != 0 {
			t.Errorf("%d buffers and %d pipes were not given back", n, m)
		}
	})
}

func TestWithoutDescriptorsForPipes(t *testing.T) {
	r := start(t, linkTCP, linkTCP, Config{})
	exchange(t, r.A, r.B, 1<<20)
	// What was read comes a moment before its pipe is given back.
	eventually(t, "no pipe in use", func() bool { return pipes.inUse() == 0 })
	dropIdlePipes()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 3 // lower than what is open: every new descriptor is refused
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if _, err := newPipe(); err != unix.EMFILE {
		t.Fatalf("newPipe: %v, want EMFILE", err)
	}
	exchange(t, r.A, r.B, 16<<20)
	pipes.mu.Lock()
	open, retryAt := pipes.open, pipes.retryAt
	pipes.mu.Unlock()
	if open != 0 || retryAt == 0 {
		t.Errorf("%d pipes open, retry at %d: the test did not test", open, retryAt)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	dropIdlePipes() // and the pause after the failure
	eventually(t, "splice again", func() bool {
		exchange(t, r.A, r.B, 4<<20)
		pipes.mu.Lock()
		defer pipes.mu.Unlock()
		return pipes.open > 0
	})
}

func TestPipePoolLimit(t *testing.T) {
	p := pipePool{limit: 2}
	a, b := p.take(), p.take()
	if a == nil || b == nil || p.take() != nil {
		t.Fatal("limit not kept")
	}
	if p.inUse() != 2 {
		t.Errorf("%d in use", p.inUse())
	}
	p.give(a)
	if c := p.take(); c != a {
		t.Error("pipe not used again")
	}
	p.discard(a)
	p.discard(b)
	if p.open != 0 || p.inUse() != 0 {
		t.Errorf("%d open, %d in use", p.open, p.inUse())
	}
}

func TestBufferLimit(t *testing.T) {
	var p bufferPool
	var all []*buffer
	for range levelLimit[level1M] {
		all = append(all, p.take(level1M))
	}
	next := p.take(level1M)
	if next.level != level256K {
		t.Errorf("level %d beyond the limit", next.level)
	}
	p.give(next)
	for _, b := range all {
		p.give(b)
	}
	if b := p.take(level1M); b.level != level1M || p.inUse() != 1 {
		t.Errorf("level %d, %d in use", b.level, p.inUse())
	}
}

// A source that cannot be spliced from, or a destination that cannot be spliced
// to, makes the direction copy, and no byte is lost.
func TestSpliceRefused(t *testing.T) {
	newDirection := func() *direction {
		s := newSession(hidden{nil}, hidden{nil}, Config{}, nil)
		s.fwd.method, s.fwd.level, s.fwd.top = methodSplice, level256K, level256K
		return &s.fwd
	}
	t.Run("source", func(t *testing.T) {
		fd, err := unix.EpollCreate1(0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		d := newDirection()
		if done := d.spliceIn(fd); done || d.method != methodCopy || d.pipe != nil {
			t.Errorf("done %v, %v", done, d.method)
		}
	})
	t.Run("destination", func(t *testing.T) {
		// splice(2): EINVAL when the target file is opened in append mode.
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		d := newDirection()
		d.pipe = pipes.take()
		want := bytes.Repeat([]byte("residue "), 5000)
		if d.n, err = unix.Write(d.pipe.w, want); err != nil || d.n != len(want) {
			t.Fatal(d.n, err)
		}
		if !d.writable(f.Fd()) || d.err != nil || d.method != methodCopy {
			t.Errorf("error %v, %v", d.err, d.method)
		}
		d.release()
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
		}
		if pipes.inUse() != 0 {
			t.Error("pipe not given back")
		}
	})
}

// A FIN without close_notify may be anyone's: it must not pass as complete.
func TestTLSTruncation(t *testing.T) {
	r := start(t, linkTCP, linkTLS, Config{})
	mustWrite(t, r.B, "half of it")
	if _, err := io.ReadFull(r.A, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := r.B.(*tls.Conn).NetConn().(*RecordConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.A.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("peer sees %v, want a reset", err)
	}
	if res := r.wait(); res.Reason != ReadErrorB || !errors.Is(res.Err, io.ErrUnexpectedEOF) {
		t.Errorf("result %v, %v", res.Reason, res.Err)
	}
}
