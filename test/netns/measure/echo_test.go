package measure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUndisturbed(t *testing.T) {
	begun := time.Unix(1000, 0)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	wait := func(from, to int) Wait { return Wait{begun.Add(at(from)), begun.Add(at(to))} }
	rs := Replies{Begun: begun}
	for i := range 6 {
		rs.Replies = append(rs.Replies, Reply{At: at(100 * i), Took: at(20)})
	}
	rs.Replies[4].Took = at(150) // it is still under way when the next one leaves
	for _, tt := range []struct {
		name string
		held []Wait
		want []int // the messages that are left
	}{
		{"never", nil, []int{0, 1, 2, 3, 4, 5}},
		{"between messages", []Wait{wait(20, 100), wait(350, 360)}, []int{0, 1, 2, 3, 4, 5}},
		{"within one", []Wait{wait(105, 110)}, []int{0, 2, 3, 4, 5}},
		{"over several", []Wait{wait(110, 310)}, []int{0, 4, 5}},
		{"twice within one", []Wait{wait(201, 206), wait(210, 215)}, []int{0, 1, 3, 4, 5}},
		{"within two at a time", []Wait{wait(505, 510)}, []int{0, 1, 2, 3}},
		{"all the time", []Wait{wait(-10, 1000)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rs.Held = tt.held
			var got []int
			for _, r := range rs.Undisturbed().Replies {
				got = append(got, int(r.At/at(100)))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
