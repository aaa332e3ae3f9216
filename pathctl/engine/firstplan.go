package engine

import (
	"net/netip"
	"slices"
	"time"

	"mpproxy/pathctl/policy"
)

// firstPlan is the plan that a connection began with, for those that begin like it soon
// after: a browser opens a dozen at once. Their second subflows wait for nothing then but
// the kernel (SMAPP section 4.5).
type firstPlan struct {
	mode   *policy.Spec
	prefer []string
	path   string     // of the first subflow
	remote netip.Addr // and its other end
	verdict
}

// firstPlanKept is how long it is good for: no longer than what a plan says of a
// connection that is under way.
const firstPlanKept = 2 * lookBusy

// planFirst returns the first plan for a connection.
func (e *Engine) planFirst(c *connection, now time.Time) verdict {
	path, plain := c.plain()
	p := e.first
	if p != nil && plain && now.Sub(p.look.When) < firstPlanKept && path == p.path && c.remote0.Addr() == p.remote &&
		slices.Equal(c.reg.Paths, p.prefer) && *c.reg.Mode == *p.mode {
		c.taught = true
		v := p.verdict
		v.look.When = now
		return v
	}
	v := e.consider(c, now)
	if plain && !slices.ContainsFunc(v.look.Paths, doubtful) {
		e.first = &firstPlan{c.reg.Mode, c.reg.Paths, path, c.remote0.Addr(), v}
	}
	return v
}

// plain says that all there is to a connection is one subflow, and on which path.
func (c *connection) plain() (path string, ok bool) {
	for _, f := range c.subflows {
		path = f.path
	}
	return path, len(c.subflows) == 1 && !c.denyJoin && len(c.announced) == 0
}

// doubtful says that a path may look different in a moment.
func doubtful(p policy.Path) bool { return p.Retry > 0 || p.Unproven || p.Silent > 0 }
