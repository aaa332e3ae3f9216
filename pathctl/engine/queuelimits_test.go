package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// boundable is a fakeReader whose connection can be bounded, or fails to.
type boundable struct {
	*fakeReader
	bounds    []int
	err       error
	buffers   []int // send buffers
	bufferErr error
}

func (b *boundable) SetSendBuffer(bytes int) error {
	b.buffers = append(b.buffers, bytes)
	return b.bufferErr
}

func (b *boundable) BoundUnsent(bytes int) error {
	b.bounds = append(b.bounds, bytes)
	return b.err
}

// TestUnsentOfWideBuffers: where the send buffer is wide, what a connection holds unsent
// is bounded from its begin, and always.
func TestUnsentOfWideBuffers(t *testing.T) {
	const slow = 625_000 // bytes a second: 5 Mbit/s
	for _, tt := range []struct {
		name  string
		rates []uint64 // of two subflows
		want  int
	}{
		{name: "slow", rates: []uint64{slow / 2, slow / 2}, want: unsentLeast},
		{name: "fast", rates: []uint64{100 * slow, 100 * slow}, want: 200 * slow / 20},
		{name: "faster than can be told", rates: []uint64{1 << 39, 1 << 39}, want: wideMost},
		{name: "one subflow", rates: []uint64{slow}, want: wideLeast},
		{name: "one fast subflow", rates: []uint64{100 * slow}, want: 100 * slow / 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			b.buffers = newBuffers(1 << 30)
			c, r := b.steered(t, mode.Aggregate)
			end := &boundable{fakeReader: r}
			reg := c.reg
			reg.Reader = end
			b.register(reg)(b.now)
			r.reading = onFirst()
			if len(tt.rates) > 1 {
				b.withSecond(t, c, r)
				r.reading = onFirst(SubflowReading{Local: second, Remote: server, TCP: established})
			}
			for j, rate := range tt.rates {
				s := &r.reading.Subflows[j].TCP
				s.RTT, s.PacingRate = 20*time.Millisecond, rate
			}
			for range 2 { // the first plan is made without a reading
				b.now = b.now.Add(2 * unbounded)
				b.examine(t.Context(), c, b.now)
			}
			if got, last := end.bounds[0], end.bounds[len(end.bounds)-1]; got != wideFirst || last != tt.want {
				t.Errorf("bounds %v, want first %d and last %d", end.bounds, wideFirst, tt.want)
			}
		})
	}
}

// TestUnsentIsBounded: what a connection holds unsent follows its rate where two
// subflows are in use, and is not bounded where it is fast.
func TestUnsentIsBounded(t *testing.T) {
	const slow = 625_000 // bytes a second: 5 Mbit/s
	for _, tt := range []struct {
		name  string
		rates []uint64 // of two subflows, one after the other
		err   error
		want  []int
	}{
		{name: "slow", rates: []uint64{slow / 2, slow / 2}, want: []int{unsentLeast}},
		{name: "in between", rates: []uint64{3 * slow / 2, 3 * slow / 2}, want: []int{3 * slow * int(unsentTime/time.Millisecond) / 1000}},
		{name: "fast", rates: []uint64{100 * slow, 100 * slow}},
		{name: "becomes fast", rates: []uint64{slow / 2, slow / 2, slow / 2, 100 * slow}, want: []int{unsentLeast, 0}},
		{name: "varies a little", rates: []uint64{3 * slow / 2, 3 * slow / 2, 3 * slow / 2, 3*slow/2 + slow/8}, want: []int{3 * slow * int(unsentTime/time.Millisecond) / 1000}},
		{name: "the kernel refuses", rates: []uint64{slow / 2, slow / 2, slow / 2, 2 * slow}, err: errors.ErrUnsupported, want: []int{unsentLeast}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, r := b.steered(t, mode.Aggregate)
			b.withSecond(t, c, r)
			end := &boundable{fakeReader: r, err: tt.err}
			c.reg.Reader = end
			for i := 0; i < len(tt.rates); i += 2 {
				r.reading = onFirst(SubflowReading{Local: second, Remote: server, TCP: established})
				for j := range r.reading.Subflows {
					s := &r.reading.Subflows[j].TCP
					s.RTT, s.PacingRate = 20*time.Millisecond, tt.rates[i+j]
				}
				b.now = b.now.Add(2 * unbounded)
				b.examine(t.Context(), c, b.now)
			}
			if diff := cmp.Diff(tt.want, end.bounds); diff != "" {
				t.Error(diff)
			}
		})
	}
}
