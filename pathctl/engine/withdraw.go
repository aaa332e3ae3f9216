package engine

import (
	"context"
	"time"

	"mpproxy/pathctl/mptcppm"
)

// takeBack destroys a subflow whose path is down or has failed. Its goodbye does
// not reach the peer over its own path: RM_ADDR on another one tells, so that the
// peer does not wait for a timeout of its own sending. This is best effort; the
// kernel repeats nothing.
//
// The kernel sends RM_ADDR on the oldest subflow that is established
// (mptcp_pm_addr_send_ack, net/mptcp/pm.c): when that is this one, the word is
// lost with the path. So the subflow goes first where that is possible. The
// first one of a connection stays in the kernel's list when it is closed, and
// its id 0 can be taken back then. The id of a later one goes with it: it is
// announced once more, to be taken back. Where others share the id (several
// subflows on one path), nothing is said: the peer would destroy them all.
func (e *Engine) takeBack(ctx context.Context, c *connection, f *subflow, reason Reason, why string, now time.Time) bool {
	token, id := c.reg.Token, f.addrID
	// Id 0 is the first subflow's; that of another one is 0 when no event has told it.
	known := f.established && (id != 0 || f.initial) && !c.sharesID(f)
	lastWord := known && !f.initial && !e.hasOlder(c, f)
	if known && !f.initial && !lastWord {
		_ = e.cmds.Remove(ctx, token, id)
	}
	if !e.destroy(ctx, c, f, reason, why, now) {
		return false
	}
	if lastWord && e.cmds.Announce(ctx, token, mptcppm.Endpoint{ID: id, Addr: f.local.Addr().Unmap()}) != nil {
		return true
	}
	if known && (f.initial || lastWord) {
		_ = e.cmds.Remove(ctx, token, id)
	}
	return true
}

// hasOlder reports whether a connection has an established subflow that is
// older than f, on a path that is up.
func (e *Engine) hasOlder(c *connection, f *subflow) bool {
	for _, o := range c.subflows {
		if _, up := e.upAt[o.path]; o.id < f.id && o.established && up {
			return true
		}
	}
	return false
}

// sharesID reports whether another established subflow has the address id of f.
func (c *connection) sharesID(f *subflow) bool {
	for _, o := range c.subflows {
		if o != f && o.established && o.addrID == f.addrID {
			return true
		}
	}
	return false
}
