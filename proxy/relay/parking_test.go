package relay

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// eachParkable runs f for each pair of links both of whose descriptors are known, so that
// connections between them are parked.
func eachParkable(t *testing.T, f func(t *testing.T, la, lb link)) {
	generic := func(p [2]link) bool { return p[0].other || p[1].other || p[1].plain }
	eachOf(t, slices.DeleteFunc(slices.Clone(pairs), generic), f)
}

func waitParked(t testing.TB, l *Parking) {
	t.Helper()
	eventually(t, "the connection is parked", func() bool { return l.len() == 1 })
}

func (l *Parking) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parked)
}

// pumping counts the goroutines that pump.
func pumping() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "(*session).pump(")
}

// TestParked: a connection on which nothing moves has no goroutine, and what comes next,
// on either side, is moved as if it had.
func TestParked(t *testing.T) {
	eachParkable(t, func(t *testing.T, la, lb link) {
		parking := hastyParking(t)
		r := start(t, la, lb, Config{Parking: parking})
		for range 3 {
			waitParked(t, parking)
			eventually(t, "no goroutine pumps", func() bool { return pumping() == 0 })
			exchange(t, r.A, r.B, 16)
			waitParked(t, parking)
			exchange(t, r.B, r.A, 64<<10) // less than FramedLimit in all
		}
		waitParked(t, parking)
		r.A.CloseWrite()
		r.B.CloseWrite()
		want := Result{AToB: 3 * 16, BToA: 3 * 64 << 10, Reason: BothEnded, Kept: la.framed || lb.framed}
		if res := r.wait(); res != want {
			t.Errorf("result %+v, want %+v", res, want)
		}
		if n := parking.len(); n != 0 {
			t.Errorf("%d connections are parked still", n)
		}
	})
}

// TestEndWhileParked: whatever ends a connection ends one that is parked.
func TestEndWhileParked(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*running)
		cfg  Config
		want Reason
	}{
		{"a is reset", func(r *running) { reset(r.A) }, Config{}, ReadErrorA},
		{"b is reset", func(r *running) { reset(r.B) }, Config{}, ReadErrorB},
		{"cancelled", func(r *running) { r.cancel() }, Config{}, Cancelled},
		{"idle for too long", func(*running) {}, Config{IdleTimeout: 100 * time.Millisecond}, IdleTimeout},
		{"too old", func(*running) {}, Config{MaxLifetime: 100 * time.Millisecond}, Lifetime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachParkable(t, func(t *testing.T, la, lb link) {
				tt.cfg.Parking = hastyParking(t)
				r := start(t, la, lb, tt.cfg)
				waitParked(t, tt.cfg.Parking)
				tt.end(r)
				if res := r.wait(); res.Reason != tt.want {
					t.Errorf("result %v, %v, want %v", res.Reason, res.Err, tt.want)
				}
				for _, far := range []Stream{r.A, r.B} {
					if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) { // or it is ours
						t.Errorf("peer sees %v, want a reset", err)
					}
				}
			})
		})
	}
}

// TestParkingIsCalledOff has messages come at the very times at which their connection is
// about to be parked, or woken.
func TestParkingIsCalledOff(t *testing.T) {
	eachPair(t, func(t *testing.T, la, lb link) {
		r := start(t, la, lb, Config{})
		var g errgroup.Group
		for _, way := range []struct{ from, to Stream }{{r.A, r.B}, {r.B, r.A}} {
			g.Go(func() error {
				for i := range 200 {
					time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
					if _, err := way.from.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
						return err
					}
				}
				return way.from.CloseWrite()
			})
			g.Go(func() error {
				got, err := io.ReadAll(way.to)
				if err != nil {
					return err
				}
				for i := range 200 {
					if len(got) != 400 || got[2*i] != byte(i) || got[2*i+1] != byte(i>>8) {
						return errors.New("other bytes arrived")
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if res := r.wait(); res.Reason != BothEnded || res.AToB != 400 || res.BToA != 400 {
			t.Errorf("result %+v", res)
		}
	})
}

// TestNotParkedWhileBlocked: while one direction waits for its destination the other one
// goes on.
func TestNotParkedWhileBlocked(t *testing.T) {
	eachParkable(t, func(t *testing.T, la, lb link) {
		parking := hastyParking(t)
		r := start(t, la, lb, Config{Parking: parking})
		const size = 32 << 20
		sent := make(chan error, 1)
		go func() {
			_, err := r.A.Write(make([]byte, size))
			sent <- err
		}()
		for last, still := uint64(0), 0; still < 25; time.Sleep(20 * time.Millisecond) { // until B takes no more; MPTCP may pause for 200 ms
			if now := r.counters.AToB.Load(); now == 0 || now != last {
				last, still = now, 0
			}
			still++
		}
		for range 20 {
			exchange(t, r.B, r.A, 16)
			time.Sleep(2 * parking.after)
			if parking.len() != 0 {
				t.Fatal("parked with bytes that wait for b")
			}
		}
		if _, err := io.ReadFull(r.B, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		waitParked(t, parking)
	})
}

// TestLotIsFull: where epoll takes no more a connection keeps its goroutines.
func TestLotIsFull(t *testing.T) {
	parking := hastyParking(t)
	parking.fd = -1
	r := start(t, linkTCP, linkTCP, Config{Parking: parking})
	time.Sleep(20 * parking.after)
	exchange(t, r.A, r.B, 16)
	if n := parking.len(); n != 0 {
		t.Errorf("%d connections are parked", n)
	}
}

// BenchmarkWake is the round trip of a byte through a relay that moved one just before,
// and through one that is parked.
func BenchmarkWake(b *testing.B) {
	for _, parked := range []bool{false, true} {
		name := map[bool]string{false: "in use", true: "parked"}[parked]
		b.Run(name, func(b *testing.B) {
			parking := hastyParking(b)
			if !parked {
				parking.after = time.Hour
			}
			r := start(b, linkTCP, linkTCP, Config{Parking: parking})
			one := make([]byte, 1)
			for b.Loop() {
				b.StopTimer()
				if parked {
					waitParked(b, parking)
				} else {
					time.Sleep(2 * time.Millisecond)
				}
				b.StartTimer()
				must(r.A.Write(one))
				must(io.ReadFull(r.B, one))
			}
		})
	}
}
