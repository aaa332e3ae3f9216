package subflowbpf

import (
	"fmt"
	"io/fs"
	"math/bits"
)

// DefaultRingSize holds about 8,700 events.
const DefaultRingSize = 1 << 20

// Config says what to watch. The zero value is good.
type Config struct {
	// RTT asks for events of kind RTT as well: one for about each
	// acknowledgement.
	RTT bool
	// TimeoutsOnly leaves out events of kind State. With eBPF the process then does
	// not wake when a subflow begins or ends.
	TimeoutsOnly bool
	// Backlog makes Watcher.SetLimits and SetFirstRate work: the program bounds
	// what subflows hold unsent, so that data moves without a wait when a subflow
	// fails, and it corrects their pacing and their first windows.
	Backlog bool
	// RingSize is how many bytes of events the kernel holds for us, 120
	// each: 0 to MaxRingSize, rounded up to a power of two and to a page. 0
	// stands for DefaultRingSize. Not used with polling.
	RingSize int
	// OwnCgroupOnly rules out the mechanism Filtered.
	OwnCgroupOnly bool
	// PollingOnly rules out eBPF.
	PollingOnly bool
}

// MaxRingSize bounds Config.RingSize, in bytes.
const MaxRingSize = 64 << 20

func (c Config) validate() error {
	if c.RingSize < 0 || c.RingSize > MaxRingSize {
		return fmt.Errorf("subflowbpf: RingSize %d: want 0 to %d: %w", c.RingSize, MaxRingSize, fs.ErrInvalid)
	}
	return nil
}

// ringSize returns the size in the form that the kernel wants: a power of two
// that is a multiple of the page size, which is one as well.
func (c Config) ringSize(page int) uint32 {
	n := c.RingSize
	if n == 0 {
		n = DefaultRingSize
	}
	n = max(n, page)
	return 1 << bits.Len(uint(n-1))
}
