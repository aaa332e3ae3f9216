package leg

import (
	"sync"
	"time"

	"mpproxy/proxy"
)

// The kernel's scheduler splits a small answer over all subflows that are idle, and the
// answer is complete when the farthest has brought its share. So where a flow may use all
// paths at a time, a leg that waits has a subflow on the path alone where flows begin best. The
// others are allowed to a flow that goes on for longer than a small answer takes: they join
// while its window still grows.

// A small answer takes the request's round trip and two more in which the window grows.
// What is below aloneLeast is the machine's own time. On far paths aloneMost bounds what a
// large flow loses.
const (
	aloneTrips = 3
	aloneLeast = 30 * time.Millisecond
	aloneMost  = 100 * time.Millisecond
)

func aloneTime(rtt time.Duration) time.Duration {
	return min(max(aloneTrips*rtt, aloneLeast), aloneMost)
}

// alone keeps a leg on its own path for the first moments of each flow. Its zero value
// does not. It is safe for concurrent use.
type alone struct {
	mu    sync.Mutex
	is    bool        // the leg has never been allowed another path
	timer *time.Timer // of the flow at hand
}

// keeps reports whether the leg has only ever had one path.
func (a *alone) keeps() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.is
}

// begin begins a flow: it allows all that the flow may use after a while.
func (l *Leg) begin(f *proxy.Flow) {
	a := &l.alone
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.is {
		return
	}
	a.timer = time.AfterFunc(aloneTime(l.way.RTT), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.timer != nil {
			a.is = false
			l.observed.Next(f)
		}
	})
}

// carries tells of the flow that the leg carries from now on.
func (l *Leg) carries(f *proxy.Flow) {
	a := &l.alone
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.is {
		f = onPath(f, l.Path)
	}
	l.observed.Next(f)
}

// rest ends a flow.
func (a *alone) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// onPath is a flow that may use one path only.
func onPath(f *proxy.Flow, path string) *proxy.Flow {
	one := *f
	one.How.Paths = []string{path}
	return &one
}
