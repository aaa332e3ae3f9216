package engine

import (
	"fmt"
	"time"
)

// woke brings everything up to date after the machine has slept. What was held
// against a path is from another time, and maybe another place. Subflows may
// have ended at the other end meanwhile: looking often for a while shows it.
func (e *Engine) woke(asleep time.Duration) func(time.Time) {
	return func(now time.Time) {
		e.decide(nil, ActionPath, "all", ReasonResumed, fmt.Sprintf("the machine has slept for %s: looking at everything anew", asleep.Round(time.Second)))
		clear(e.states)
		e.publish()
		for _, c := range e.conns {
			c.memory.Notes, c.memory.Watches = nil, nil
			c.urgent, c.quiet = true, 0
		}
		e.lookAtAll(now)
	}
}
