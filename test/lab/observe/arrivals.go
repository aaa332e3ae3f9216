package observe

import (
	"io"
	"time"
)

// bin is how finely arrivals are counted.
const bin = 50 * time.Millisecond

// Arrivals are the bytes that an application got, in bins since a beginning.
type Arrivals struct {
	bytes []int64
	// gap is the longest time without a byte, and gapAt when it began.
	Gap, gapAt time.Duration
}

// Count reads until the connection ends and delivers what it has counted. It is
// a goroutine's.
func Count(r io.Reader, begun time.Time, result chan<- Arrivals) {
	var a Arrivals
	buf := make([]byte, 64<<10)
	last := time.Since(begun)
	for {
		n, err := r.Read(buf)
		if err != nil {
			result <- a
			return
		}
		now := time.Since(begun)
		if now-last > a.Gap {
			a.Gap, a.gapAt = now-last, last
		}
		last = now
		for len(a.bytes) <= int(now/bin) {
			a.bytes = append(a.bytes, 0)
		}
		a.bytes[now/bin] += int64(n)
	}
}

// Rate is the mean rate of an interval, in bit/s; its ends are rounded down to
// whole bins.
func (a Arrivals) Rate(from, to time.Duration) float64 {
	var sum int64
	for i := int(from / bin); i < int(to/bin) && i < len(a.bytes); i++ {
		sum += a.bytes[i]
	}
	return float64(sum) * 8 / (to.Truncate(bin) - from.Truncate(bin)).Seconds()
}
