package engine

import (
	"context"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
)

// DefaultMostSubflows is the kernel's own most (MPTCP_PM_ADDR_MAX in net/mptcp/protocol.h,
// Linux 6.12). While user space manages paths the kernel has no limit: a client may join
// thousands of times, and each look at its connection reads all of them.
const DefaultMostSubflows = 8

// refuseSubflow destroys a subflow that joined a connection which has all it may have, and
// reports whether it did. It asks nobody whose connection that is: a client joins before it
// has shown who it is, too.
func (e *Engine) refuseSubflow(ctx context.Context, c *connection, ev mptcppm.Event) bool {
	if e.role != policy.Concentrator || !c.server || len(c.subflows) < e.mostSubflows || c.find(ev.Local, ev.Remote) != nil {
		return false
	}
	if err := e.cmds.DestroySubflow(ctx, ev.Token, ev.Local, ev.Remote); err != nil {
		e.log.Debug("cannot destroy a subflow beyond the limit", "error", err)
		return false
	}
	if !c.crowded {
		c.crowded = true
		e.log.Warn("refusing further subflows of a connection", "token", ev.Token, "peer", ev.Remote, "limit", e.mostSubflows)
	}
	return true
}
