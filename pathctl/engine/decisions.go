package engine

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Action is what the controller did to a subflow.
type Action string

// The actions.
const (
	ActionCreate  Action = "create"
	ActionDestroy Action = "destroy"
	ActionBackup  Action = "make backup"
	ActionUse     Action = "use"
	ActionFailed  Action = "failed" // not ours: the subflow ended
	ActionPath    Action = "path"   // something about a path as a whole
)

// Actions returns every action.
func Actions() []Action {
	return []Action{ActionCreate, ActionDestroy, ActionBackup, ActionUse, ActionFailed, ActionPath}
}

// Decision is one thing that the controller did, and why.
type Decision struct {
	When        time.Time `json:"when"`
	Token       string    `json:"token,omitempty"`
	Destination string    `json:"destination,omitempty"`
	Mode        string    `json:"mode,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Action      Action    `json:"action"`
	Path        string    `json:"path"`
	Reason      Reason    `json:"reason"` // its class
	Why         string    `json:"why"`    // in words, with numbers
}

// DecisionKind is what decisions are counted by. Mode is empty where no
// connection of the data path is concerned.
type DecisionKind struct {
	Mode   string
	Action Action
	Reason Reason
}

// KeptDecisions is how many decisions are remembered.
const KeptDecisions = 1000

// decisionRing keeps the latest decisions. One goroutine adds; any may read.
type decisionRing struct {
	mu    sync.Mutex
	ring  [KeptDecisions]Decision
	total uint64
	kinds map[DecisionKind]uint64
	more  chan struct{} // closed and replaced with each addition
}

func (r *decisionRing) add(d Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.total%KeptDecisions] = d
	r.total++
	if r.kinds == nil {
		r.kinds = make(map[DecisionKind]uint64)
	}
	r.kinds[DecisionKind{d.Mode, d.Action, d.Reason}]++
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

// count returns how many decisions there were of each kind.
func (r *decisionRing) count() map[DecisionKind]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.kinds)
}

// since returns the decisions from number n on, the number of the next one to
// come, and a channel that is closed when it has come. What the ring has lost
// is skipped.
func (r *decisionRing) since(n uint64) (ds []Decision, next uint64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total > KeptDecisions && n < r.total-KeptDecisions {
		n = r.total - KeptDecisions
	}
	for ; n < r.total; n++ {
		ds = append(ds, r.ring[n%KeptDecisions])
	}
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return ds, r.total, r.more
}

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

// Reason is the class of a decision's reason: Decision.Why in one of a few
// words, for counting.
type Reason string

// The reasons.
const (
	ReasonMode               = Reason(reason.ClassMode)      // the mode wants it so
	ReasonFailover           = Reason(reason.ClassFailover)  // another subflow failed, or none was left
	ReasonSetAside           = Reason(reason.ClassSetAside)  // its path gave trouble lately
	ReasonTimeout            = Reason(reason.ClassTimeout)   // data was not acknowledged in time
	ReasonLoss               = Reason(reason.ClassLoss)      // it works, but loses or delays too much
	ReasonNoAnswer           = Reason(reason.ClassNoAnswer)  // the peer did not answer MP_JOIN
	ReasonPathDown           = Reason(reason.ClassPathDown)  // its path is down, gone or not allowed
	ReasonUnneeded           = Reason(reason.ClassUnneeded)  // the mode has no use for it any more
	ReasonReplaced           = Reason(reason.ClassReplaced)  // another one takes its place
	ReasonForgotten          = Reason(reason.ClassForgotten) // its path works, and something on the way does not know it any more
	ReasonReset       Reason = "reset"                       // the other end, or a middlebox, reset it
	ReasonUnreachable Reason = "unreachable"                 // the network says that there is no way
	ReasonAddressGone Reason = "address-gone"                // the peer took its address back
	ReasonRecovered   Reason = "recovered"                   // the path works again
	ReasonResumed     Reason = "resumed"                     // the machine has slept
)

// Reasons returns every reason: what counts by reason is bounded by them.
func Reasons() []Reason {
	return []Reason{
		ReasonMode, ReasonFailover, ReasonSetAside, ReasonTimeout, ReasonLoss, ReasonNoAnswer, ReasonPathDown,
		ReasonUnneeded, ReasonReplaced, ReasonForgotten, ReasonReset, ReasonUnreachable, ReasonAddressGone, ReasonRecovered,
		ReasonResumed,
	}
}

// decide keeps a decision for people.
func (e *Engine) decide(c *connection, a Action, path string, reason Reason, why string) {
	d := &Decision{When: time.Now(), Action: a, Path: path, Reason: reason, Why: why}
	if c != nil {
		d.Token, d.Destination, d.Mode, d.Rule = c.reg.Token.String(), c.reg.Destination, c.reg.Mode.Name, c.reg.Rule
		c.last = fmt.Sprintf("%s %s: %s", a, path, why)
	}
	e.decisions.add(*d)
	e.said = d
	if e.recorder != nil && !e.reconciling {
		e.recorder.Told(*d)
	}
	e.log.Debug("decision", "action", string(a), "path", path, "reason", why, "destination", d.Destination, "mode", d.Mode)
}
