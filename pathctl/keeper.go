package pathctl

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"mpproxy/internal/hoststate"
)

// How often it is looked whether somebody else has changed the path manager, which is one
// read of a small file; and how long it is left to him at most before it is taken again.
const (
	keepEvery = time.Second
	keepMost  = 10 * time.Minute
)

// keeper takes the path manager again when somebody else has given it back to the kernel,
// each time later: two programs that disagree must not keep the host busy for ever.
type keeper struct {
	shared *hoststate.Shared
	log    *slog.Logger
	quarrel
	told atomic.Pointer[quarrel]
}

// quarrel is how often somebody else has given the path manager back to the kernel.
type quarrel struct {
	times int
	due   time.Time // when it is taken again; zero: it is ours
	since time.Time // when it was taken the last time
}

// look decides what to do at a look, at which the path manager is ours or is not.
func (q quarrel) look(now time.Time, lost bool) (after quarrel, takeAgain bool) {
	switch {
	case !lost:
		q.due = time.Time{}
		if now.Sub(q.since) > 2*keepMost {
			q.times = 0 // it was long ago
		}
		return q, false
	case q.due.IsZero():
		q.due = now
		if q.times > 0 {
			q.due = now.Add(min(keepEvery<<min(q.times, 10), keepMost))
		}
		q.times++
	}
	if now.Before(q.due) {
		return q, false
	}
	q.due, q.since = time.Time{}, now
	return q, true
}

// run keeps the path manager until ctx is done.
func (k *keeper) run(ctx context.Context) error {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			k.keep(now)
		}
	}
}

func (k *keeper) keep(now time.Time) {
	value, err := k.shared.Lost(hoststate.PathManager)
	if err != nil {
		return // there was one when it was taken
	}
	before := k.times
	var again bool
	k.quarrel, again = k.look(now, value != "")
	if k.times > before {
		k.log.Warn("another program has given the path manager back to the kernel: taking it again, each time later",
			"sysctl", hoststate.PathManager.String(), "value", value, "times", k.times, "in", k.due.Sub(now).Round(time.Second))
	}
	if again {
		if _, _, err := k.shared.Take(hoststate.PathManager); err != nil {
			k.log.Warn("cannot take the path manager again", "error", err)
		}
	}
	q := k.quarrel
	k.told.Store(&q)
}

// state is what the keeper has seen; any goroutine may ask. Of a nil keeper it is nothing.
func (k *keeper) state() quarrel {
	if k == nil {
		return quarrel{}
	}
	if q := k.told.Load(); q != nil {
		return *q
	}
	return quarrel{}
}
