package policy

import (
	"fmt"
	"time"
)

// lazy: the path that the connection began with, until the flow is long enough
// in bytes or seconds; from then on as aggregate does. A pause begins a new
// count: a connection that is used again and again for little things stays as
// it is.
func lazy(v *view) {
	if v.m.Turn == 0 {
		if long := v.longEnough(); long != "" {
			v.m = Memory{Turn: 1, Notes: v.m.Notes, Watches: v.m.Watches}
			aggregate(v)
			for i := range v.create {
				v.create[i].Why = long
			}
			return
		}
	}
	if v.m.Turn > 0 {
		aggregate(v)
		return
	}
	best, why := v.byRank()
	v.carry(best, noStandby, why)
}

// longEnough measures the burst that is going on.
func (v *view) longEnough() string {
	total := v.c.Sent + v.c.Received
	busy := v.flows()
	if !busy && v.m.Active {
		v.m.Active, v.m.Mark = false, total
	}
	if busy && !v.m.Active {
		v.m.Active, v.m.At = true, v.c.Age // Mark is from before the burst
	}
	if !v.m.Active {
		v.m.Mark = total
		return ""
	}
	bytes, took := total-min(v.m.Mark, total), v.c.Age-v.m.At
	if bytes >= v.p.LazyBytes {
		return fmt.Sprintf("%d bytes without a pause", bytes)
	}
	if took >= v.p.LazyTime && float64(bytes) >= float64(v.p.LazyRate)*took.Seconds() {
		return fmt.Sprintf("%d bytes in %s", bytes, words(took))
	}
	v.lookIn(min(lazyLook, max(v.p.LazyTime-took, minLook)))
	return ""
}

// lazyLook is how often a growing flow is measured: at 40 Mbit/s lazy_bytes
// take 200 ms.
const lazyLook = 200 * time.Millisecond
