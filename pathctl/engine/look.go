package engine

import (
	"context"
	"errors"
	"net"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
)

// How often a connection is looked at: often while data moves, seldom while
// nothing happens, at once when an event asks for it. Events come by
// themselves; looking is for what has none.
const (
	lookBusy   = 100 * time.Millisecond
	lookCalm   = 400 * time.Millisecond // nothing was in flight
	lookUrgent = 20 * time.Millisecond
	lookIdle   = 2 * time.Second
	// lookAgain bounds how long a policy may put a look off.
	lookAgain = 10 * time.Second
	// flowRate is how many bytes a second are a flow and no conversation.
	flowRate = 16_000
)

func (e *Engine) lookAtAll(now time.Time) {
	for _, c := range e.conns {
		e.queue.sooner(c, now)
	}
}

// lookSoon has a connection looked at because of news. Before it is established
// there is nothing to decide, and a look would hold up its first data, whose
// acknowledgement establishes it: it took 0.4 ms of a handshake. The concentrator,
// which makes no subflows, does not look at the first moments either.
func (e *Engine) lookSoon(c *connection, now time.Time) {
	if !c.established || c.ours && !c.looked && c.reg.Role == policy.Concentrator {
		now = now.Add(lookBusy)
	}
	e.queue.sooner(c, now)
}

// untouched reports whether c waits for its first plan, and may have it.
func (c *connection) untouched() bool {
	return c.ours && c.established && !c.looked && !c.reg.Manual && c.reg.Role == policy.Client
}

// examine reads a connection, asks its policy, and carries out what it says.
func (e *Engine) examine(ctx context.Context, c *connection, now time.Time) {
	if !c.ours {
		e.stranger(ctx, c, now)
		return
	}
	defer e.looks.count(time.Now())
	defer c.tell(mptcppm.Event{})
	if c.untouched() {
		// The event has told all that there is to know, and reading would only
		// delay the second subflow (SMAPP section 4.5).
		c.looked = true
		e.carryOut(ctx, c, e.consider(c, now), now)
		e.widen(c)
		e.queue.sooner(c, now.Add(lookBusy))
		return
	}
	r, err := c.reg.Reader.Read()
	if errors.Is(err, net.ErrClosed) {
		e.forget(c.reg.Token) // should its owner not have got through to say so
		return
	}
	if err != nil {
		// It ended, and its owner is about to say so; or it fell back to TCP.
		e.queue.schedule(c, now.Add(lookIdle))
		return
	}
	c.looked = true
	c.update(r, e.pathOf, now)
	e.buffers.enter(&c.holds, held{c.reg.User, c.pending})
	e.boundQueues(c, now)
	e.tellRates(c)
	if c.reg.Manual {
		e.queue.schedule(c, now.Add(lookIdle))
		return
	}
	e.observe(c, now)
	if e.endDead(c, now) {
		return
	}
	e.act(ctx, c, now)
}

// act asks a connection's policy and carries out what it says.
func (e *Engine) act(ctx context.Context, c *connection, now time.Time) {
	e.carryOut(ctx, c, e.consider(c, now), now)
}

// verdict is what a policy says of a connection, and upon what.
type verdict struct {
	look    Look // without its outcomes
	memory  policy.Memory
	changes []Change
}

// consider asks a connection's policy.
func (e *Engine) consider(c *connection, now time.Time) verdict {
	conn := c.view(e.awake, now)
	if !c.begun {
		c.begun = true
		e.firstNotes(c, conn, now)
	}
	v := verdict{look: Look{When: now, Conn: conn, Paths: e.pathsFor(c, now), Memory: c.memory}}
	v.look.Plan, v.memory = policy.Decide(conn, v.look.Paths, c.memory)
	v.changes = Changes(conn, v.look.Plan)
	return v
}

// carryOut does what a policy has said.
func (e *Engine) carryOut(ctx context.Context, c *connection, v verdict, now time.Time) {
	plan := v.look.Plan
	c.memory = v.memory
	e.keepNotes(v.look.Conn, v.look.Memory, v.memory, now)
	v.look.Outcomes = e.reconcile(ctx, c, v.changes, now)
	e.probe(ctx, c, plan.Probe, now)
	e.prod(c, plan.Prod || c.doubted(now), now)
	e.record(c, v.look)
	e.queue.schedule(c, now.Add(c.nextLook(plan)))
}

// nextLook is how long the connection may be left alone.
func (c *connection) nextLook(plan policy.Plan) time.Duration {
	d := lookCalm
	if c.quiet > 5 {
		d = lookIdle
	}
	inFlight := false
	for _, f := range c.subflows {
		inFlight = inFlight || f.obs.Last().Unacked > 0 || !f.established
	}
	switch {
	case c.urgent && inFlight:
		d = lookUrgent
	case inFlight || c.flowing():
		d = lookBusy
	default:
		c.urgent = false
	}
	if plan.Look > 0 {
		d = min(d, plan.Look)
	}
	return min(d, lookAgain)
}

// flowing reports whether data keeps coming: its end is to be noticed.
func (c *connection) flowing() bool {
	for _, f := range c.subflows {
		if f.obs.Arrival() >= flowRate && f.obs.Busy() {
			return true
		}
	}
	return false
}
