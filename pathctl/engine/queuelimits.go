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

// tellRates lets subflows that will begin know what their path has carried. Small
// changes are no news.
func (e *Engine) tellRates(c *connection) {
	if e.watch == nil {
		return
	}
	for _, f := range c.subflows {
		rate := f.obs.FoundRate()
		if !f.established || rate == 0 || rate > f.toldRate*3/4 && rate < f.toldRate*5/4 {
			continue
		}
		path := f.local.Addr()
		if e.role == policy.Concentrator {
			path = f.remote.Addr()
		}
		if err := e.watch.SetFirstRate(path, rate); err != nil {
			e.log.Debug("cannot tell the rate of a path", "path", f.path, "error", err)
			return
		}
		f.toldRate = rate
	}
}

// The kernel lets a connection hold unacknowledged what its subflows may hold together,
// some windows of each. Whatever waits on a slow one, 32 KiB at least, holds up the
// acknowledgement of all that the others have carried meanwhile; when that fills the
// buffer, they stand still. A piece on 1 Mbit/s with 400 ms did that to 8 Mbit/s beside
// it for a quarter of the time (docs/lab.md, pairs).
//
// Therefore a registered connection gets a send buffer of wideBuffer bytes, as much as
// the other end takes (mptcpsock.DefaultReceiveBuffer). SO_SNDBUF fixes the buffers of
// the subflows, too. From then on the eBPF program bounds what each of them holds
// (pathctl/subflowbpf/steering.bpf.h), and TCP_NOTSENT_LOWAT bounds what the connection
// holds unsent (boundUnsent). The program applies its bound with the next
// acknowledgement: until the first look the buffer is a narrow one.
//
// The memory is not reserved: a peer that acknowledges has the connection hold little.
// One that does not fills the buffer. Where all, or those of one user, hold too much,
// their buffers are narrow, as the kernel's own would be.
const (
	wideBuffer   = 8 << 20
	narrowBuffer = 512 << 10
)

// userShare is the part of the memory for send buffers that one user may fill.
const userShare = 4

// widen gives a connection the send buffer that the memory allows.
func (e *Engine) widen(c *connection) {
	b, ok := c.reg.Reader.(Bounder)
	if !ok || e.buffers.most == 0 || c.reg.Manual || c.unboundable {
		return
	}
	bytes := narrowBuffer
	if c.buffer == 0 {
		e.setUnsent(c, wideFirst)
		if c.linger == 0 {
			e.boundLinger(c, noBound)
		}
		if c.unsent == 0 {
			return // what it holds unsent cannot be bounded
		}
	} else if e.buffers.room(c.holds.user, c.buffer == wideBuffer) {
		bytes = wideBuffer
	}
	if bytes == c.buffer {
		return
	}
	if err := b.SetSendBuffer(bytes); err != nil {
		e.buffers.most = 0 // it would fail for the others, too
		e.log.Info("a slow path will hold up the others more than it has to", "error", err)
		return
	}
	c.buffer = bytes
}

// held is what a connection holds unacknowledged, in bytes, and to whose account.
type held struct {
	user  string
	bytes uint64
}

// buffers are the accounts of what connections hold unacknowledged, as they were read
// last.
type buffers struct {
	most   uint64 // bytes; 0: no buffer is made wide
	sum    uint64
	byUser map[string]uint64
}

func newBuffers(most uint64) buffers { return buffers{most: most, byUser: make(map[string]uint64)} }

// enter replaces what stands in the accounts for a connection.
func (a *buffers) enter(was *held, now held) {
	a.sum += now.bytes - was.bytes
	a.byUser[was.user] -= was.bytes
	a.byUser[now.user] += now.bytes
	for _, user := range []string{was.user, now.user} {
		if a.byUser[user] == 0 {
			delete(a.byUser, user)
		}
	}
	*was = now
}

// room reports whether a user's connection may have a wide buffer. One that has it loses
// it where the memory is used up, and one that has lost it gets it again when half is
// free.
func (a *buffers) room(user string, has bool) bool {
	most := a.most
	if !has {
		most /= 2
	}
	return a.sum < most && a.byUser[user] < most/userShare
}
