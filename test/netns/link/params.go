package link

import (
	"fmt"
	"time"
)

// Units for Params.Rate.
const (
	Kbit int64 = 1000
	Mbit       = 1000 * Kbit
	Gbit       = 1000 * Mbit
)

// DefaultQueue is the queue of a direction whose Params.Queue is zero, in bytes.
const DefaultQueue = 200_000

// Params are the properties of one direction of a link. The zero value is a
// direction without limits.
type Params struct {
	// Rate in bit/s of whole Ethernet frames without check sequence; 0 is
	// unlimited.
	Rate int64
	// Delay is the one-way propagation delay, 0 to 10 s. Serialisation and
	// queueing come on top.
	Delay time.Duration
	// Jitter adds a uniformly distributed 0…Jitter to the delay of each frame,
	// 0 to 10 s. Frames stay in order.
	Jitter time.Duration
	// Loss is the probability, 0 to 1, that a frame is lost on the wire, after
	// it has used its share of the rate.
	Loss float64
	// Queue is the largest number of bytes waiting to be sent, the frame in
	// transmission included; 0 is DefaultQueue. A frame that does not fit is
	// dropped, unless the queue is empty. Without a Rate nothing queues.
	Queue int
}

const maxDelay = 10 * time.Second

// Validate says which value is out of range.
func (p Params) Validate() error {
	switch {
	case p.Rate < 0 || p.Rate > 100*Gbit:
		return fmt.Errorf("link: rate %d bit/s: want 0 (unlimited) to %d", p.Rate, 100*Gbit)
	case p.Delay < 0 || p.Delay > maxDelay:
		return fmt.Errorf("link: delay %v: want 0 to %v", p.Delay, maxDelay)
	case p.Jitter < 0 || p.Jitter > maxDelay:
		return fmt.Errorf("link: jitter %v: want 0 to %v", p.Jitter, maxDelay)
	case !(p.Loss >= 0 && p.Loss <= 1):
		return fmt.Errorf("link: loss %v: want a probability, 0 to 1", p.Loss)
	case p.Queue < 0 || p.Queue > 1<<30:
		return fmt.Errorf("link: queue %d bytes: want 0 (%d) to %d", p.Queue, DefaultQueue, 1<<30)
	}
	return nil
}

// IsZero reports whether the direction has no limits at all, so that a plain
// veth pair can stand for it.
func (p Params) IsZero() bool { return p == Params{} }

func (p Params) queue() int {
	if p.Queue == 0 {
		return DefaultQueue
	}
	return p.Queue
}

// transmission is the time that a frame of n bytes occupies the link.
func (p Params) transmission(n int) time.Duration {
	if p.Rate == 0 {
		return 0
	}
	return time.Duration(int64(n) * 8 * int64(time.Second) / p.Rate)
}

// Direction is one of the two directions of a link.
type Direction int

// The directions, named after the ends of Config.
const (
	AtoB Direction = iota
	BtoA
)

func (d Direction) String() string {
	switch d {
	case AtoB:
		return "a→b"
	case BtoA:
		return "b→a"
	}
	return fmt.Sprintf("Direction(%d)", int(d))
}

// Counters are what one direction has seen since the link was made. Bytes are
// those of whole frames. Offered = Delivered + the drops + what is under way.
type Counters struct {
	Offered, OfferedBytes     uint64 // frames that the sending end gave to the link
	Delivered, DeliveredBytes uint64 // frames that the receiving end got
	Lost                      uint64 // dropped by Params.Loss
	QueueDrops                uint64 // dropped because the queue was full
	DownDrops                 uint64 // swallowed by SetBlackhole or SetCarrier
	Rejected                  uint64 // refused by a middlebox, or by the receiving interface (not up)
	QueueBytes                uint64 // waiting now
	MaxQueueBytes             uint64 // most that ever waited
	// Latest is how much later than due the emulator delivered a frame at worst,
	// because it had to wait for a processor, and Late how many frames were later
	// than MuchLate: what the link seems to have done then is this machine's doing.
	// Netem and Veth do not tell.
	Latest time.Duration
	Late   uint64
}

// MuchLate is from when on a frame counts as late.
const MuchLate = 20 * time.Millisecond

func (c Counters) String() string {
	return fmt.Sprintf("offered %d (%d B) delivered %d (%d B) lost %d queue-drops %d down-drops %d rejected %d queue %d B max %d B, up to %s late",
		c.Offered, c.OfferedBytes, c.Delivered, c.DeliveredBytes, c.Lost, c.QueueDrops, c.DownDrops, c.Rejected, c.QueueBytes, c.MaxQueueBytes, c.Latest.Round(time.Microsecond))
}
