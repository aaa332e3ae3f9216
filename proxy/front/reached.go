package front

import (
	"sync"
	"time"

	"mpproxy/proxy"
)

const (
	// reachedTime is for how long a destination that was reached is taken for reachable.
	reachedTime = 10 * time.Minute
	// mostReached bounds what is remembered: some hundred bytes each.
	mostReached = 4096
)

// reached remembers which destinations the concentrator reached lately. Its zero value is
// ready. It is safe for concurrent use.
type reached struct {
	mu   sync.Mutex
	last map[proxy.Destination]time.Time
}

// note remembers a destination that was reached.
func (r *reached) note(to proxy.Destination, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[proxy.Destination]time.Time)
	}
	if _, known := r.last[to]; !known && len(r.last) >= mostReached {
		r.makeRoom(now)
	}
	r.last[to] = now
}

// makeRoom forgets all that is too old, or else any one.
func (r *reached) makeRoom(now time.Time) {
	var any proxy.Destination
	for d, at := range r.last {
		if any = d; now.Sub(at) >= reachedTime {
			delete(r.last, d)
		}
	}
	if len(r.last) >= mostReached {
		delete(r.last, any)
	}
}

// forget forgets a destination that was not reached.
func (r *reached) forget(to proxy.Destination) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, to)
}

// lately reports whether a destination was reached lately.
func (r *reached) lately(to proxy.Destination, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.last[to]
	return known && now.Sub(at) < reachedTime
}
