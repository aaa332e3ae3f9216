package pathctl

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/mptcppm"
)

// othersEvery is how often it is looked for others that have a say about
// subflows: nobody tells when endpoints come.
const othersEvery = 10 * time.Second

// othersWatch looks for what else has a say about subflows, says it once in the
// log, and keeps it for status.
type othersWatch struct {
	log      *slog.Logger
	scanner  coexist.Scanner
	role     string // ours
	steering *steering
	strict   func() []string // interfaces with a strict reverse path filter that does no harm; nil: none

	notices atomic.Pointer[[]coexist.Notice]
	failed  bool // the last scan was incomplete, and that was logged
}

func newOthersWatch(k *kernel, s *steering, strict func() []string, log *slog.Logger) *othersWatch {
	w := &othersWatch{log: log, role: k.role, steering: s, strict: strict}
	w.scanner.Ours = k.isOurs
	if k.client != nil {
		w.scanner.Endpoints = k.client.Endpoints
		w.scanner.EventsGroup = k.client.EventsGroup()
	}
	return w
}

// isOurs reports whether an endpoint is ours, or that of an mpproxy of the other
// role, which its range tells well enough for what is only said.
func (k *kernel) isOurs(e mptcppm.Endpoint) bool {
	other := firstClientID
	if k.firstID == firstClientID {
		other = firstConcentratorID
	}
	return k.owned().has(e) || inRange(e.ID, other)
}

// run looks until ctx is done. Two programs with a say get along badly, but
// whatever is found or cannot be, ours goes on.
func (w *othersWatch) run(ctx context.Context) error {
	tick := time.NewTicker(othersEvery)
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

func (w *othersWatch) look(ctx context.Context) {
	f, err := w.scanner.Scan(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil && !w.failed {
		w.log.Info("cannot see everything that others do about MPTCP subflows", "error", err)
	}
	w.failed = err != nil
	if w.strict != nil {
		f.Strict = w.strict()
	}
	f.Steering = w.steering != nil
	f.Before = f.Userspace && w.before()
	if f.Steering {
		// A second program that makes subflows for everybody else's connections
		// would make them twice.
		leave := f.OtherDecides()
		w.steering.engine.post(ctx, func(time.Time) { w.steering.engine.leaveStrangers = leave })
	}
	w.tell(coexist.Notices(f))
}

// before reports whether the path manager is in user space by somebody who is
// no mpproxy.
func (w *othersWatch) before() bool {
	if w.steering != nil && !w.steering.found {
		return false // we made it so
	}
	held, err := heldLocks()
	return err == nil && !slices.ContainsFunc(held, func(role string) bool { return role != w.role })
}

// tell logs what is new and what is no more.
func (w *othersWatch) tell(now []coexist.Notice) {
	before := w.list()
	for _, n := range now {
		switch {
		case slices.Contains(before, n):
		case n.Kind == coexist.KindRPFilter:
			w.log.Info(n.What, "effect", n.Effect, "advice", n.Advice)
		default:
			w.log.Warn(n.What, "effect", n.Effect, "advice", n.Advice)
		}
	}
	for _, n := range before {
		if !slices.ContainsFunc(now, func(o coexist.Notice) bool { return o.Kind == n.Kind }) {
			w.log.Info("no longer so: " + n.What)
		}
	}
	w.notices.Store(&now)
}

func (w *othersWatch) list() []coexist.Notice {
	if p := w.notices.Load(); p != nil {
		return *p
	}
	return nil
}
