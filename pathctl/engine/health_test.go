package engine

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFailureOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want failure
	}{
		{nil, failedReset},
		{syscall.Errno(0), failedReset},
		{syscall.ECONNRESET, failedReset},
		{syscall.ECONNREFUSED, failedReset},
		{errors.New("something else"), failedReset},
		{syscall.ENETUNREACH, failedUnreachable},
		{syscall.EHOSTUNREACH, failedUnreachable},
		{fmt.Errorf("creating: %w", syscall.ENETDOWN), failedUnreachable},
		{syscall.ETIMEDOUT, failedTimeout},
	} {
		if got := failureOf(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestHealthDelays: each failure that comes when the path may be tried again
// doubles the delay, up to the longest.
func TestHealthDelays(t *testing.T) {
	for _, tt := range []struct {
		kind failure
		want []time.Duration
	}{
		{failedReset, []time.Duration{ms(500), ms(1000), ms(2000), ms(4000), ms(8000), ms(8000)}},
		{failedUnreachable, []time.Duration{ms(1000), ms(2000), ms(4000), ms(8000), ms(8000)}},
		{failedTimeout, []time.Duration{ms(2000), ms(4000), ms(8000), ms(8000)}},
		{failedPoor, []time.Duration{ms(3000), ms(6000), ms(12000), ms(24000), ms(48000), ms(60000), ms(60000)}},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			var h health
			now := start
			var got []time.Duration
			for range tt.want {
				d := h.fail(tt.kind, now, now)
				got = append(got, d)
				if r := h.retry(now); r != d {
					t.Errorf("retry in %v after a delay of %v", r, d)
				}
				now = now.Add(d)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for range 100 { // no overflow
				d := h.fail(tt.kind, now, now)
				if d != lastRetry[tt.kind] {
					t.Fatalf("delay %v", d)
				}
				now = now.Add(d)
			}
		})
	}
}

// TestHealthOneAfterTheOther: connections find out later than the first one that
// the path failed, after its delay even; that makes the delay no longer.
func TestHealthOneAfterTheOther(t *testing.T) {
	for _, tt := range []struct {
		name         string
		since, until time.Duration // of the second failure, from the first one
		want         time.Duration
	}{
		{"began before", -time.Hour, 2 * time.Second, 2 * time.Second},
		{"began after", time.Millisecond, 2 * time.Second, 4 * time.Second},
		{"began before, long ago", -time.Hour, steady, 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h health
			h.fail(failedTimeout, start.Add(-time.Hour), start)
			if got := h.fail(failedTimeout, start.Add(tt.since), start.Add(tt.until)); got != tt.want {
				t.Errorf("delay %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHealthManyAtOnce(t *testing.T) {
	var h health
	h.fail(failedTimeout, start, start)
	for i := range 100 {
		if got, want := h.fail(failedTimeout, start.Add(ms(i)), start.Add(ms(i))), 2*time.Second-ms(i); got != want {
			t.Fatalf("failure %d: %v, want %v", i, got, want)
		}
	}
	if h.failures != 1 {
		t.Errorf("%d failures counted, want 1", h.failures)
	}
}

// TestHealthForgives: only a path that worked for long enough begins anew.
func TestHealthForgives(t *testing.T) {
	for _, tt := range []struct {
		name string
		up   time.Duration
		next failure
		want time.Duration
	}{
		{"fails again soon", steady - 1, failedTimeout, 8 * time.Second},
		{"was steady", steady, failedTimeout, 2 * time.Second},
		{"fails otherwise", steady - 1, failedReset, ms(500)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h health
			now := start
			for range 2 {
				now = now.Add(h.fail(failedTimeout, now, now))
			}
			if !h.established(now) {
				t.Error("not said to be back")
			}
			if h.established(now.Add(1)) {
				t.Error("said to be back twice")
			}
			if r := h.retry(now); r != 0 {
				t.Errorf("left alone for %v although it works", r)
			}
			if got := h.fail(tt.next, now.Add(tt.up), now.Add(tt.up)); got != tt.want {
				t.Errorf("delay %v, want %v", got, tt.want)
			}
		})
	}
}

// TestHealthOneProbes: after a failure one connection tries, and the others
// wait for what it finds.
func TestHealthOneProbes(t *testing.T) {
	var h health
	h.trying(start)
	if r := h.retry(start); r != 0 {
		t.Errorf("a path that never failed is left alone for %v", r)
	}
	now := start.Add(h.fail(failedReset, start, start))
	if r := h.retry(now); r != 0 {
		t.Fatalf("left alone for %v after the delay", r)
	}
	h.trying(now)
	if r := h.retry(now.Add(time.Second)); r != probeTime-time.Second {
		t.Errorf("others wait for %v", r)
	}
	if r := h.retry(now.Add(probeTime)); r != 0 {
		t.Errorf("others wait for %v when the probe had its time", r)
	}
	h.trying(now)
	h.established(now.Add(1))
	if r := h.retry(now.Add(1)); r != 0 {
		t.Errorf("others wait for %v after the probe came up", r)
	}
}

func TestHealthSample(t *testing.T) {
	var h health
	now := start
	for _, rtt := range []time.Duration{0, -1, 80, 0, 160} {
		h.sample(rtt, now)
	}
	if h.rtt != 90 {
		t.Errorf("round-trip time %v, want 90ns", h.rtt)
	}
	if h.sample(200, now.Add(rttOld)); h.rtt != 200 {
		t.Errorf("round-trip time %v after a long time, want 200ns", h.rtt)
	}
}
