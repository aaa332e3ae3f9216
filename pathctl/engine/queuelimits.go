package engine

import (
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// What a path leaves behind when it dies waits behind what the others have in
// their queues: two bounds keep those short.

// lingerShare is how long a byte may stay on a subflow, in hundredths of what the
// slowest one in use needs.
const lingerShare = 125

// unbounded is how long the queues of a connection grow as they like after a
// subflow was put to use; noBound lets them.
const (
	unbounded = time.Second
	noBound   = time.Minute
)

// A connection holds unsent what it sends in unsentTime, and unsentLeast at least.
// The kernel hands all that is contiguous to a subflow at once, up to unsentMost (a
// page fragment, net/mptcp/protocol.c, __subflow_push_pending): 52 ms at 5 Mbit/s. A
// connection that sends that in pieceTime needs no such bound, and several subflows
// would want for data now and then. A connection with a wide send buffer would hold
// seconds of data, though: it may hold what goes in wideTime, wideLeast to wideMost,
// and wideFirst before the buffer is widened.
const (
	unsentTime  = 5 * time.Millisecond
	unsentLeast = 6 << 10
	unsentMost  = 32 << 10
	pieceTime   = 15 * time.Millisecond
	wideTime    = 50 * time.Millisecond
	wideLeast   = 64 << 10
	wideFirst   = 256 << 10
	wideMost    = 1 << 30 // where the option ends, and more than any buffer
)

// rateFast is the rate, in bytes a second, from which on the queue of a subflow that
// carries everything is no matter. Below, the whole of a wide send buffer would not
// bound it any more, and when another path takes over it went on for half a second.
const rateFast = 125_000_000

// boundQueues keeps the queues of a connection's subflows as short as the
// scheduler can bear: it must be able to fill the slowest one in use while the
// others wait. A subflow that has just begun beside one that holds much would not
// get off the ground: it is given time, but for modes that begin one after the
// other on purpose.
func (e *Engine) boundQueues(c *connection, now time.Time) {
	e.widen(c)
	var slowest time.Duration
	var rate uint64
	inUse, young := 0, false
	for _, f := range c.subflows {
		if f.established && !f.backup && !f.peerBackup && f.obs.Last().RTT > 0 {
			slowest = max(slowest, need(f.obs.Last()))
			rate += min(f.obs.Last().PacingRate, 1<<40)
			inUse++
			young = young || f.obs.Starting() || f.usedAgo(now) < unbounded
		}
	}
	if inUse == 0 {
		return
	}
	d := slowest * lingerShare / 100
	lift := young && !c.reg.Manual && !c.several()
	if lift {
		d = noBound
	}
	// The program may close a subflow at any time, and all that is queued on the
	// others is sent again then.
	few := inUse < 2 && !c.reg.Manual
	early := lift && c.linger == 0 // let it begin
	if !few && !early || c.unsent > 0 {
		e.boundUnsent(c, rate, lift || few && c.wide())
	}
	if (!few || c.wide() && rate < rateFast) && !early {
		e.boundLinger(c, d)
	}
}

// boundLinger bounds how long a byte stays on one of its subflows.
func (e *Engine) boundLinger(c *connection, d time.Duration) {
	if e.watch == nil || d > c.linger*7/8 && d < c.linger*9/8 {
		return
	}
	if err := e.watch.SetLimits(c.reg.Token, subflowbpf.Limits{Linger: d, Modest: c.several()}); err != nil {
		e.log.Debug("cannot bound the queues of a connection", "error", err)
		return
	}
	c.linger = d
}

// beginBounds bounds a connection from its begin: its send buffer, and the windows of
// several subflows on a path before there are any.
func (e *Engine) beginBounds(c *connection) {
	if c.reg.Role == policy.Concentrator {
		e.widen(c) // a client has its subflows to ask for first
	}
	if c.several() {
		e.boundLinger(c, noBound)
	}
}

// several says that our controller keeps several subflows on a path.
func (c *connection) several() bool { return !c.reg.Manual && c.reg.Mode.Base.Traits().Several }

// need is for how long a subflow must have data under way to fill its path: a round
// trip without the standing queue, which it needs not, and half of one for
// acknowledgements that are late or come together.
func need(t uapi.TCPInfo) time.Duration {
	if t.MinRTT == 0 {
		return t.RTT
	}
	return min(t.RTT, 3*t.MinRTT/2+4*t.RTTVar)
}

// boundUnsent bounds what a connection that sends rate bytes a second holds unsent;
// pieces says that the size of what the kernel hands over at once is no matter.
func (e *Engine) boundUnsent(c *connection, rate uint64, pieces bool) {
	bytes := max(unsentLeast, inTime(rate, unsentTime))
	switch {
	case !pieces && inTime(rate, pieceTime) <= unsentMost:
	case c.wide():
		bytes = min(max(wideLeast, inTime(rate, wideTime)), wideMost)
	default:
		bytes = 0
	}
	if bytes == c.unsent || bytes > c.unsent*3/4 && bytes < c.unsent*4/3 {
		return
	}
	e.setUnsent(c, bytes)
}

// setUnsent bounds what a connection holds unsent, where its owner can do that.
func (e *Engine) setUnsent(c *connection, bytes int) {
	b, ok := c.reg.Reader.(Bounder)
	if !ok || c.reg.Manual || c.unboundable {
		return
	}
	if err := b.BoundUnsent(bytes); err != nil {
		e.log.Debug("cannot bound what a connection holds unsent", "error", err)
		c.unboundable = true
		return
	}
	c.unsent = bytes
}

// inTime is what goes in d at rate bytes a second.
func inTime(rate uint64, d time.Duration) int {
	return int(rate * uint64(d/time.Microsecond) / 1e6)
}
