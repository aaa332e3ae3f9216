package pathctl

import (
	"context"
	"sync/atomic"
	"time"

	"mpproxy/pathctl/netpath"
)

// snapshots hands the newest snapshot of the paths from the monitor's goroutine to the
// controller's, and shows it to all others.
type snapshots struct {
	fresh chan []netpath.Path // the newest one only
	ready chan struct{}
	seen  atomic.Pointer[[]netpath.Path]
}

func newSnapshots() snapshots {
	return snapshots{fresh: make(chan []netpath.Path, 1), ready: make(chan struct{})}
}

// Ready is closed once the first snapshot of the paths has been acted on.
func (s *snapshots) Ready() <-chan struct{} { return s.ready }

// Paths returns the newest snapshot.
func (s *snapshots) Paths() []netpath.Path {
	if p := s.seen.Load(); p != nil {
		return *p
	}
	return nil
}

// offer replaces the snapshot that waits, if one does. One goroutine calls it.
func (s *snapshots) offer(paths []netpath.Path) {
	for {
		select {
		case s.fresh <- paths:
			return
		default:
		}
		select {
		case <-s.fresh:
		default:
		}
	}
}

// follow calls act with each snapshot until ctx is done, and with the last one again
// each time that tick says so.
func (s *snapshots) follow(ctx context.Context, tick <-chan time.Time, act func([]netpath.Path)) {
	var paths []netpath.Path
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case paths = <-s.fresh:
		case <-tick:
			if first {
				continue
			}
		}
		act(paths)
		seen := paths // readers keep it while paths changes
		s.seen.Store(&seen)
		if first {
			first = false
			close(s.ready)
		}
	}
}
