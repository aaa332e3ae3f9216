package engine

import (
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// Look is one look at a connection: what its policy was asked, what it answered,
// and what came of it. Nothing in it changes any more.
type Look struct {
	When        time.Time
	Token       uapi.Token
	Destination string
	Mode        string // as the user named it
	Rule        string // that chose it; empty: none
	// Number counts the looks at this connection, from 1.
	Number uint64
	Conn   policy.Conn
	Paths  []policy.Path
	Memory policy.Memory // before
	Plan   policy.Plan
	// Outcomes has for each of the plan's Changes the decision that came of it: nil
	// where the change could not be made, one with ActionFailed where the kernel
	// refused it. It is nil when there were no changes.
	Outcomes []*Decision
}

// Recorder writes down what the controller sees and decides. Its methods are
// called from the controller's goroutine, and must not block.
type Recorder interface {
	Looked(Look)
	// Told takes a decision that no policy made: the kernel or the peer told of
	// something.
	Told(Decision)
}

// record hands a look to the recorder, if there is one.
func (e *Engine) record(c *connection, l Look) {
	if e.recorder == nil {
		return
	}
	c.looks++
	l.Token, l.Number = c.reg.Token, c.looks
	l.Destination, l.Mode, l.Rule = c.reg.Destination, c.reg.Mode.Name, c.reg.Rule
	e.recorder.Looked(l)
}
