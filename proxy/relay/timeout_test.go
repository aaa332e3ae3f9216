package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipeStream is one end of an in-memory connection with half-close: two
// net.Pipes, one for each direction. It blocks in ways that synctest knows.
type pipeStream struct {
	net.Conn          // receiving
	out      net.Conn // sending
	lingered *int     // what SetLinger was last called with
}

func pipeStreams() (near, far pipeStream) {
	a1, a2 := net.Pipe()
	b1, b2 := net.Pipe()
	return pipeStream{a1, b1, new(int)}, pipeStream{b2, a2, new(int)}
}

func (p pipeStream) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipeStream) CloseWrite() error           { return p.out.Close() }
func (p pipeStream) Close() error                { p.out.Close(); return p.Conn.Close() }
func (p pipeStream) SetLinger(sec int) error     { *p.lingered = sec + 100; return nil }
func (p pipeStream) SetDeadline(t time.Time) error {
	return errors.Join(p.out.SetDeadline(t), p.Conn.SetDeadline(t))
}

func TestTimeouts(t *testing.T) {
	const write, half = "write", "half"
	tests := []struct {
		name   string
		cfg    Config
		script map[time.Duration]string // what the far end of a does, when
		want   Reason
		after  time.Duration
	}{
		{
			"idle from the start",
			Config{IdleTimeout: time.Minute},
			nil,
			IdleTimeout, time.Minute,
		},
		{
			"each byte puts the idle timeout off",
			Config{IdleTimeout: time.Minute},
			map[time.Duration]string{50 * time.Second: write, 100 * time.Second: write},
			IdleTimeout, 160 * time.Second,
		},
		{
			"the default idle timeout",
			Config{},
			nil,
			IdleTimeout, DefaultIdleTimeout,
		},
		{
			"half-closed connections have their own",
			Config{IdleTimeout: time.Minute, HalfCloseTimeout: time.Hour},
			map[time.Duration]string{30 * time.Second: half},
			HalfCloseTimeout, time.Hour + 30*time.Second,
		},
		{
			"a shorter one counts at once",
			Config{IdleTimeout: time.Hour, HalfCloseTimeout: time.Minute},
			map[time.Duration]string{30 * time.Second: half},
			HalfCloseTimeout, 90 * time.Second,
		},
		{
			"lifetime, however busy",
			Config{IdleTimeout: time.Minute, MaxLifetime: 2 * time.Minute},
			map[time.Duration]string{50 * time.Second: write, 100 * time.Second: write},
			Lifetime, 2 * time.Minute,
		},
		{
			"lifetime without idle timeout",
			Config{IdleTimeout: -1, MaxLifetime: 24 * time.Hour},
			nil,
			Lifetime, 24 * time.Hour,
		},
		{
			"no limit at all: the context's end",
			Config{IdleTimeout: -1},
			nil,
			Cancelled, 1000 * time.Hour,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
				defer cancel()
				a, farA := pipeStreams()
				b, farB := pipeStreams()
				for at, what := range tt.script {
					time.AfterFunc(at, func() {
						if what == half {
							farA.CloseWrite()
							return
						}
						io.WriteString(farA, "x")
					})
				}
				go io.Copy(io.Discard, farB)
				var c Counters
				begin := time.Now()
				res := runToEnd(ctx, a, b, tt.cfg, &c)
				if took := time.Since(begin); res.Reason != tt.want || took != tt.after {
					t.Errorf("%v after %v, want %v after %v", res.Reason, took, tt.want, tt.after)
				}
				isTimeout := errors.Is(res.Err, os.ErrDeadlineExceeded)
				if cancelled := tt.want == Cancelled; isTimeout == cancelled || errors.Is(res.Err, context.DeadlineExceeded) != cancelled {
					t.Errorf("error %v", res.Err)
				}
				if *a.lingered != 100 || *b.lingered != 100 {
					t.Errorf("closed with linger %d and %d, want a reset of both", *a.lingered-100, *b.lingered-100)
				}
			})
		})
	}
}

func TestIdleTimeoutOnSockets(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		r := start(t, la, lb, Config{IdleTimeout: time.Millisecond})
		if res := r.wait(); res.Reason != IdleTimeout || !errors.Is(res.Err, os.ErrDeadlineExceeded) {
			t.Errorf("result %v, %v", res.Reason, res.Err)
		}
		for _, far := range []Stream{r.A, r.B} {
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("peer sees %v, want a reset", err)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		r := start(t, la, lb, Config{})
		mustWrite(t, r.A, "begin")
		if _, err := io.ReadFull(r.B, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		r.cancel()
		if res := r.wait(); res.Reason != Cancelled || !errors.Is(res.Err, context.Canceled) || res.AToB != 5 {
			t.Errorf("result %+v", res)
		}
		if _, err := r.B.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("peer sees %v, want a reset", err)
		}
	})
}

// A context that is over before Run begins must not leave anything open.
func TestCancelledBefore(t *testing.T) {
	a, farA := linkTCP.dial(t)
	b, _ := linkTCP.dial(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if res := runToEnd(ctx, a, b, Config{}, nil); res.Reason != Cancelled {
		t.Errorf("result %v", res.Reason)
	}
	if _, err := farA.Read(make([]byte, 1)); err == nil {
		t.Error("peer was not told")
	}
}

// A reset is seen, too, on a side that has sent its end of data already and
// from which nobody reads any more.
func TestResetWhileHalfClosed(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		if la.other || lb.plain {
			t.Skip("needs the descriptor")
		}
		for _, swap := range []bool{false, true} {
			r := start(t, la, lb, Config{})
			near, far := r.A, r.B
			want := ReadErrorA
			if swap {
				near, far, want = far, near, ReadErrorB
			}
			if err := near.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := far.Read(make([]byte, 1)); err != io.EOF {
				t.Fatal(err)
			}
			reset(near)
			if res := r.wait(); res.Reason != want {
				t.Errorf("result %v, %v", res.Reason, res.Err)
			}
		}
	})
}
