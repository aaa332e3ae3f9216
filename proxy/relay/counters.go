package relay

import (
	"sync/atomic"
	"time"
)

// epoch turns monotonic readings into small integers: wall-clock steps (a
// gateway that gets its time late) must not look like idleness.
var epoch = time.Now()

// stamp is the time now in nanoseconds since epoch.
func stamp() int64 { return int64(time.Since(epoch)) }

// Counters are the live numbers of one connection. They may be read at any
// time, also while and after Run uses them; the zero value is ready. A byte
// counts once the destination's socket has taken it (with TLS: once the whole
// batch of records has been handed to the socket).
type Counters struct {
	AToB atomic.Uint64 // payload bytes read from a and written to b
	BToA atomic.Uint64 // payload bytes read from b and written to a

	last atomic.Int64 // stamp of the last byte, 0: never
}

// LastActive is when the last byte was moved or, before the first one, when
// Run began. It is the zero time when Run has not begun.
func (c *Counters) LastActive() time.Time {
	last := c.last.Load()
	if last == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(last))
}
