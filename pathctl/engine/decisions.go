package engine

import (
	"maps"
	"sync"
	"time"
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
