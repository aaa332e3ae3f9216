package pathctl

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
)

// legs is what legs to the concentrator have met on each way: a path, and an address
// beyond it, which may be dead although the path is well. The data path writes it,
// whoever makes the subflows. Its methods may be called from any goroutine.
type legs struct {
	mu   sync.Mutex
	ways map[way]*pathstate.State // of those in trouble
	up   map[string]bool
}

type way struct {
	path string
	to   netip.Addr
}

// met notes what a leg met; why says in words what is bad about it.
func (l *legs) met(path string, to netip.Addr, r pathstate.Result, why string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ways == nil {
		l.ways = make(map[way]*pathstate.State)
	}
	s := l.ways[way{path, to}]
	if s == nil {
		s = &pathstate.State{}
		l.ways[way{path, to}] = s
	}
	s.Met(r, why, now)
	maps.DeleteFunc(l.ways, func(_ way, s *pathstate.State) bool { return !s.Troubled(now) })
}

// LegLeftAlone reports whether an address of the concentrator is to be tried over a path
// only after all others.
func (l *legs) LegLeftAlone(path string, to netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.ways[way{path, to}]
	return s != nil && s.Waits(time.Now())
}

// LegState returns what legs over a path have met at the address that is left alone for
// longest.
func (l *legs) LegState(path string) (worst pathstate.State) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, s := range l.ways {
		_, a, _ := s.Worst(now)
		_, b, _ := worst.Worst(now)
		if w.path == path && a.Until.After(b.Until) {
			worst = *s
		}
	}
	return worst
}

// follow forgets what was met on paths that have come up: they may be in another
// network now.
func (l *legs) follow(paths []netpath.Path) {
	l.mu.Lock()
	defer l.mu.Unlock()
	up := make(map[string]bool)
	for _, p := range paths {
		up[p.Name] = p.State == netpath.Up
	}
	maps.DeleteFunc(l.ways, func(w way, _ *pathstate.State) bool { return up[w.path] && !l.up[w.path] })
	l.up = up
}

// forget forgets everything.
func (l *legs) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.ways)
}
