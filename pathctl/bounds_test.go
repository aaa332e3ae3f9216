package pathctl

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/policy"
)

// boundable is a fakeReader whose connection can be bounded, or fails to.
type boundable struct {
	*fakeReader
	bounds []int
	err    error
}

func (b *boundable) BoundUnsent(bytes int) error {
	b.bounds = append(b.bounds, bytes)
	return b.err
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
			c, r := b.steered(t, policy.Aggregate)
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
