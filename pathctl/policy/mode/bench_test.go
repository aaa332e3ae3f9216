package mode

import (
	"fmt"
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

func BenchmarkDecide(b *testing.B) {
	for _, mode := range []Mode{Aggregate, Handover, Interactive} {
		for _, n := range []int{2, 4, 8} {
			b.Run(fmt.Sprintf("%s/%d", mode, n), func(b *testing.B) {
				c := Conn{Mode: mode, Params: DefaultParams(mode), Age: time.Minute}
				var paths []Path
				for i := range n {
					p := Path{Name: fmt.Sprint("path", i), Rank: i + 1, Up: true, UpFor: time.Hour}
					s := on(SubflowID(i+1), p.Name)
					s.Delivery, s.Backup = 1_000_000, mode != Aggregate && i > 0
					paths, c.Subflows = append(paths, p), append(c.Subflows, s)
				}
				var m Memory
				b.ReportAllocs()
				for b.Loop() {
					_, m = Decide(c, paths, m)
				}
			})
		}
	}
}
