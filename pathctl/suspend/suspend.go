// Package suspend notices that the machine has slept.
//
//	err := suspend.Watch(ctx, func(asleep time.Duration) { … })
package suspend

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// wakeEvery is how often the clocks are compared: the longest time from the
	// end of a suspend until it is noticed.
	wakeEvery = time.Second
	// wakeSlack is how much the clocks may differ before that counts as sleep.
	// The two readings are not taken at the same instant.
	wakeSlack = 500 * time.Millisecond
)

// clocks reads CLOCK_MONOTONIC, which stands still while the machine sleeps, and
// CLOCK_BOOTTIME, which does not (clock_gettime(2)). Neither is ever set, so that
// a wall clock that is corrected does not look like sleep.
type clocks func() (monotonic, boot time.Duration, err error)

func kernelClocks() (monotonic, boot time.Duration, err error) {
	read := func(id int32) (time.Duration, error) {
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			return 0, fmt.Errorf("reading clock %d: %w", id, err)
		}
		return time.Duration(ts.Nano()), nil
	}
	if monotonic, err = read(unix.CLOCK_MONOTONIC); err != nil {
		return 0, 0, err
	}
	boot, err = read(unix.CLOCK_BOOTTIME)
	return monotonic, boot, err
}

// sleepMeter adds up how long the machine has slept since it was made.
type sleepMeter struct {
	read clocks
	seen time.Duration // by how much boot was ahead at the last reading
}

func newSleepMeter(read clocks) (*sleepMeter, error) {
	m := &sleepMeter{read: read}
	monotonic, boot, err := read()
	m.seen = boot - monotonic
	return m, err
}

// slept returns how long the machine has slept since the last call, 0 when it
// has not.
func (m *sleepMeter) slept() (time.Duration, error) {
	monotonic, boot, err := m.read()
	if err != nil {
		return 0, err
	}
	d := boot - monotonic - m.seen
	if d < wakeSlack {
		return 0, nil
	}
	m.seen += d
	return d, nil
}

// Watch calls woke after each suspend until ctx is done: at most a second after the
// machine has woken up. It fails when the clocks cannot be read.
func Watch(ctx context.Context, woke func(asleep time.Duration)) error {
	return watchSleep(ctx, kernelClocks, wakeEvery, woke)
}

// watchSleep calls woke after each suspend until ctx is done. A Go timer runs on
// CLOCK_MONOTONIC, so that the first tick comes at most wakeEvery after the end
// of a suspend.
func watchSleep(ctx context.Context, read clocks, every time.Duration, woke func(asleep time.Duration)) error {
	m, err := newSleepMeter(read)
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		d, err := m.slept()
		if err != nil {
			return err
		}
		if d > 0 {
			woke(d)
		}
	}
}
