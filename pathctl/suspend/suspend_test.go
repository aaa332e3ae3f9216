package suspend

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepMeter(t *testing.T) {
	var monotonic, boot time.Duration
	broken := errors.New("broken")
	var fails error
	m, err := newSleepMeter(func() (time.Duration, time.Duration, error) { return monotonic, boot, fails })
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name            string
		awake, sleeping time.Duration
		err             error
		want            time.Duration
	}{
		{"awake", time.Second, 0, nil, 0},
		{"for long", time.Hour, 0, nil, 0},
		{"readings a little apart", time.Second, time.Millisecond, nil, 0},
		{"asleep", time.Second, time.Hour, nil, time.Hour + time.Millisecond}, // what was too little counts now
		{"awake again", time.Second, 0, nil, 0},
		{"asleep for a moment", 0, 2 * time.Second, nil, 2 * time.Second},
		{"no clock", 0, time.Hour, broken, 0},
		{"found later", 0, 0, nil, time.Hour},
	} {
		monotonic, boot, fails = monotonic+tt.awake, boot+tt.awake+tt.sleeping, tt.err
		if got, err := m.slept(); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: slept %v, %v, want %v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestKernelClocks: the real clocks run alike while the machine is awake, as it
// is now. That they come apart while it sleeps cannot be tried here.
func TestKernelClocks(t *testing.T) {
	m, err := newSleepMeter(kernelClocks)
	if err != nil {
		t.Fatal(err)
	}
	monotonic, boot, err := kernelClocks()
	if err != nil || monotonic <= 0 || boot < monotonic {
		t.Errorf("monotonic %v, boot %v, %v", monotonic, boot, err)
	}
	if d, err := m.slept(); d != 0 || err != nil {
		t.Errorf("slept %v, %v", d, err)
	}
}

func TestWatchSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var asleep atomic.Int64
		read := func() (time.Duration, time.Duration, error) {
			monotonic := time.Since(begin)
			return monotonic, monotonic + time.Duration(asleep.Load()), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		woke := make(chan time.Duration, 10)
		done := make(chan error, 1)
		go func() { done <- watchSleep(ctx, read, wakeEvery, func(d time.Duration) { woke <- d }) }()
		time.Sleep(10 * wakeEvery)
		synctest.Wait()
		if len(woke) != 0 {
			t.Errorf("woke %d times without sleep", len(woke))
		}
		asleep.Store(int64(time.Hour))
		time.Sleep(wakeEvery)
		synctest.Wait()
		if len(woke) != 1 || <-woke != time.Hour {
			t.Error("an hour of sleep was not noticed within a second")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
