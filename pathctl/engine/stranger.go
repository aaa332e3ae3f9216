package engine

import (
	"context"
	"time"

	"mpproxy/pathctl/mptcppm"
)

const (
	// strangerWait is how long a connection may be unknown to the data path
	// before it is taken for another program's.
	strangerWait = 500 * time.Millisecond
	// strangerKept is how long another program's connection is remembered when
	// there is nothing to do for it: its end may be among events that were lost,
	// and one that nobody has accepted ends without any.
	strangerKept = time.Minute
)

// stranger serves a connection that is not ours. The path manager belongs to
// the whole network namespace, so taking it over must not cost other programs
// their subflows: they get what the kernel's own path manager would have made
// of the endpoints that are configured.
func (e *Engine) stranger(ctx context.Context, c *connection, now time.Time) {
	if age := now.Sub(c.since); age < strangerWait {
		e.queue.schedule(c, c.since.Add(strangerWait))
		return
	}
	if !c.established || c.served || e.leaveStrangers {
		e.letGo(c, now) // an event will bring it back
		return
	}
	e.serve(ctx, c)
	e.letGo(c, now)
}

// letGo forgets a connection that is not ours when it has been known for so
// long that nobody is going to register it.
func (e *Engine) letGo(c *connection, now time.Time) {
	if until := c.since.Add(strangerKept); now.Before(until) {
		e.queue.schedule(c, until)
		return
	}
	e.forget(c.reg.Token)
}

// serve makes the subflows, once.
func (e *Engine) serve(ctx context.Context, c *connection) {
	c.served = true
	endpoints, err := e.cmds.Endpoints(ctx)
	if err != nil {
		e.log.Debug("cannot read the endpoints for another program's connection", "error", err)
		return
	}
	limits, err := e.cmds.Limits(ctx)
	if err != nil {
		return
	}
	made := uint32(0)
	for _, ep := range endpoints {
		switch {
		case ep.Flags&mptcppm.FlagSignal != 0 && ep.Addr.Unmap() != c.local0.Addr().Unmap():
			_ = e.cmds.Announce(ctx, c.reg.Token, mptcppm.Endpoint{ID: ep.ID, Addr: ep.Addr, Port: ep.Port})
		case ep.Flags&mptcppm.FlagSubflow != 0 && !c.server && made < limits.Subflows:
			if e.joinFor(ctx, c, ep) {
				made++
			}
		}
	}
}

func (e *Engine) joinFor(ctx context.Context, c *connection, ep mptcppm.Endpoint) bool {
	if ep.Addr.Unmap() == c.local0.Addr().Unmap() {
		return false
	}
	remote, ok := c.remoteFor(ep.Addr.Unmap())
	if !ok {
		return false
	}
	err := e.cmds.CreateSubflow(ctx, c.reg.Token, mptcppm.Endpoint{
		ID: ep.ID, Addr: ep.Addr, IfIndex: ep.IfIndex, Flags: ep.Flags & mptcppm.FlagBackup,
	}, remote)
	if err != nil {
		e.log.Debug("cannot create a subflow for another program's connection", "endpoint", ep, "error", err)
	}
	return err == nil
}
