package netpath

import "time"

// An interface that comes up sends a dozen messages within milliseconds, and
// between them the configuration is incomplete.
const (
	quietTime = 30 * time.Millisecond  // without a hint, before we look
	maxDelay  = 250 * time.Millisecond // from the first hint, at the latest
)

// A coalescer turns a burst of hints into one look.
type coalescer struct{ first time.Time }

// hint notes one and returns in how long to look.
func (c *coalescer) hint(now time.Time) time.Duration {
	if c.first.IsZero() {
		c.first = now
	}
	return max(0, min(quietTime, c.first.Add(maxDelay).Sub(now)))
}
