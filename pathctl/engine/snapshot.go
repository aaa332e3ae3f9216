package engine

import (
	"sync/atomic"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

// Snapshot is what there is to be counted and measured of a controller that
// steers.
type Snapshot struct {
	Subflows            map[SubflowKind]int // established, of the data path's connections
	Paths               map[string]pathstate.State
	Decisions           map[DecisionKind]uint64 // since the start
	LostEvents          uint64                  // times that events of the kernel were lost
	Looks               uint64                  // at connections
	LookTime            time.Duration           // of the controller's goroutine, for all of them
	Connections, Others int                     // under control; of other programs, while they are served
}

// SubflowKind is what subflows are counted by. Path is empty on a concentrator,
// whose paths are its clients' addresses.
type SubflowKind struct {
	Path   string
	Backup bool // flagged so by either end
}

// lookTimer adds up what looking costs.
type lookTimer struct{ n, nanos atomic.Uint64 }

func (t *lookTimer) count(since time.Time) {
	t.n.Add(1)
	t.nanos.Add(uint64(time.Since(since)))
}

func (e *Engine) snapshot(time.Time) Snapshot {
	out := Snapshot{
		Subflows: make(map[SubflowKind]int), Paths: make(map[string]pathstate.State, len(e.paths)),
		Decisions: e.decisions.count(), LostEvents: e.lost.Load(),
		Looks: e.looks.n.Load(), LookTime: time.Duration(e.looks.nanos.Load()),
	}
	for _, p := range e.paths {
		out.Paths[p.Name] = *e.stateOf(p.Name)
	}
	for _, c := range e.conns {
		if !c.ours {
			out.Others++
			continue
		}
		out.Connections++
		for _, f := range c.subflows {
			if f.established {
				out.Subflows[e.kindOf(f)]++
			}
		}
	}
	return out
}

func (e *Engine) kindOf(f *subflow) SubflowKind {
	k := SubflowKind{Backup: f.backup || f.peerBackup}
	if e.role == policy.Client && e.hasPath(f.path) {
		k.Path = f.path
	}
	return k
}
