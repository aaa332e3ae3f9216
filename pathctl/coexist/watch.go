package coexist

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/pathctl/netpath"
)

// watchEvery is how often it is looked for others that have a say about subflows:
// nobody tells when endpoints come.
const watchEvery = 10 * time.Second

// WatchConfig says what a Watch knows of its own program.
type WatchConfig struct {
	Scanner Scanner
	// Steering says that this program is the path manager.
	Steering bool
	// Ours is asked at each look whether an mpproxy has made user space the path manager;
	// nil: none that is known of.
	Ours func() bool
	// Switched is asked at each look how often somebody else has given the path manager
	// back to the kernel, and when it is taken again, zero where it is; nil: never.
	Switched func() (times int, due time.Time)
	// Strict lists the interfaces whose strict reverse path filter does no harm; nil:
	// none.
	Strict func() []string
	// Rules lists the routing rules of others that come before ours; nil: none.
	Rules func() []netpath.Obstacle
	// OtherDecides is told at each look whether another program makes subflows for
	// everybody's connections; nil: nobody is told.
	OtherDecides func(ctx context.Context, other bool)
}

// Watch looks for what else has a say about subflows, says it once in the log, and
// keeps it for status.
type Watch struct {
	cfg     WatchConfig
	log     *slog.Logger
	notices atomic.Pointer[[]Notice]
	failed  bool // the last scan was incomplete, and that was logged
}

// NewWatch returns a watch; nothing happens before Run.
func NewWatch(cfg WatchConfig, log *slog.Logger) *Watch { return &Watch{cfg: cfg, log: log} }

// Run looks until ctx is done. Two programs with a say get along badly, but
// whatever is found or cannot be, ours goes on.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watch) look(ctx context.Context) {
	f, err := w.cfg.Scanner.Scan(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil && !w.failed {
		w.log.Info("cannot see everything that others do about MPTCP subflows", "error", err)
	}
	w.failed = err != nil
	if w.cfg.Strict != nil {
		f.Strict = w.cfg.Strict()
	}
	if w.cfg.Rules != nil {
		f.Rules = w.cfg.Rules()
	}
	f.Steering = w.cfg.Steering
	if w.cfg.Switched != nil {
		f.Switched, f.Due = w.cfg.Switched()
	}
	f.Before = f.Userspace && w.before(f.Listeners)
	if w.cfg.OtherDecides != nil {
		w.cfg.OtherDecides(ctx, f.OtherDecides())
	}
	w.tell(Notices(f))
}

// before reports whether the path manager is in user space by somebody who is no mpproxy.
// One of another user is known by its name.
func (w *Watch) before(listeners []Process) bool {
	return (w.cfg.Ours == nil || !w.cfg.Ours()) && !slices.ContainsFunc(listeners, Process.isOurs)
}

// tell logs what is new and what is no more.
func (w *Watch) tell(now []Notice) {
	before := w.Notices()
	for _, n := range now {
		switch {
		case slices.Contains(before, n):
		case n.Kind == KindRPFilter || n.Kind == KindRule:
			w.log.Info(n.What, "effect", n.Effect, "advice", n.Advice)
		default:
			w.log.Warn(n.What, "effect", n.Effect, "advice", n.Advice)
		}
	}
	for _, n := range before {
		if !slices.ContainsFunc(now, func(o Notice) bool { return o.Kind == n.Kind }) {
			w.log.Info("no longer so: " + n.What)
		}
	}
	w.notices.Store(&now)
}

// Notices returns what was found at the last look.
func (w *Watch) Notices() []Notice {
	if p := w.notices.Load(); p != nil {
		return *p
	}
	return nil
}
