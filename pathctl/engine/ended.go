package engine

import (
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
)

// A peer that has ended a connection answers requests to join it with a reset. We may not
// know that it has: the paths were dark when it did, or a box on the way has forgotten the
// connection. A box that resets requests to join looks the same, so one refusal makes the
// kernel ask for signs of life on the other subflows, and more evidence is needed to end
// the connection.

// doubtedFor is how long the kernel asks for signs of life after a refusal. The first
// leaves after prodAfter.
const doubtedFor = 5 * time.Second

// doubt notes that a join was refused at now. A subflow that was established and is reset
// then is none: the peer knew the connection, and a box that lost its state ends it so.
func (c *connection) doubt(now time.Time) { c.refusedAt = now }

// doubted reports whether a join was refused lately.
func (c *connection) doubted(now time.Time) bool {
	return !c.refusedAt.IsZero() && now.Sub(c.refusedAt) < doubtedFor
}

// endDead ends a connection that its peer has ended, so that its user learns of it. It
// reports whether it did.
func (e *Engine) endDead(c *connection, now time.Time) bool {
	end, can := c.reg.Reader.(Ender)
	if !can || c.reg.Manual || !c.doubted(now) {
		return false
	}
	left := false
	for _, f := range c.subflows {
		switch {
		case f.established && !f.unheard():
			return false
		case f.established:
			left = true
		}
	}
	if !c.unknown && (left || !e.refusedEverywhere(c)) {
		return false
	}
	e.decide(c, ActionFailed, "all", ReasonReset, "the peer does not know this connection any more: it is ended")
	if err := end.End(); err != nil {
		e.log.Warn("cannot end a connection that its peer does not know any more", "error", err)
	}
	e.forget(c.reg.Token)
	return true
}

// refusedEverywhere reports whether all paths have refused a join since a subflow was
// last established.
func (e *Engine) refusedEverywhere(c *connection) bool {
	ways := 0
	for _, p := range e.paths {
		if p.State != netpath.Up {
			continue
		}
		if _, _, is := c.way(p); !is {
			continue
		}
		if r := c.refusals[p.Name]; r.times == 0 || r.at.Before(c.joinedAt) {
			return false
		}
		ways++
	}
	return ways > 0
}

// unheard reports whether a subflow has asked for an answer in vain, with data or for a
// sign of life, and the time for that has passed.
func (f *subflow) unheard() bool {
	t := f.obs.Last()
	return t.State != uapi.TCPEstablished || f.obs.Timeouts() > 0 ||
		t.Probes > 0 && min(t.LastAckReceived, t.LastDataReceived) > 2*prodAfter
}

// refusal is what a connection remembers of joins that were refused on one path. The
// peer refuses all joins of a connection that it has ended, which we may not know of:
// no packet tells while the connection is idle. Then the path is well, and the others
// must not wait because of it.
type refusal struct {
	times     int
	at, until time.Time // of the last one; when the connection may try again
}

// refusedAgain notes that a join was refused at now. It reports whether that is about
// the connection alone: it was refused before, and another one has joined since.
func (c *connection) refusedAgain(path string, othersJoined, now time.Time) bool {
	first, longest := pathstate.JoinRefused.Backoff()
	r := c.refusals[path]
	if now.Sub(r.until) > longest {
		r = refusal{}
	}
	again := r.times > 0 && othersJoined.After(r.at)
	// The path's own back-off ends sooner: then somebody else tries first.
	r = refusal{r.times + 1, now, now.Add(min(2*first<<min(r.times, 16), longest))}
	if c.refusals == nil {
		c.refusals = make(map[string]refusal)
	}
	c.refusals[path] = r
	c.unknown = c.unknown || again
	return again
}
