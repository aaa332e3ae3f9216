package netpath

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// resyncInterval is how long a lost notification can stay unnoticed.
	resyncInterval = 30 * time.Second
	// retryInterval is the wait after something failed.
	retryInterval = time.Second
)

// A runner is the state of one Run; Run's goroutine owns it.
type runner struct {
	m      *Monitor
	log    *slog.Logger
	router *router
	signal *signalWatch
	names  map[string]string // interface → path name
	last   []Path
	told   bool // Notify was called once

	again time.Duration // when to look after start, 0: when something happens

	resync time.Duration // resyncInterval
}

func newRunner(m *Monitor) *runner {
	return &runner{
		m: m, log: m.log, router: newRouter(m), signal: newSignalWatch(openRadio, m.log), names: make(map[string]string),
		resync: resyncInterval,
	}
}

func (r *runner) start(ctx context.Context) error {
	r.router.start(ctx)
	if r.m.cfg.NetNS == 0 { // nl80211 is asked in our own namespace
		r.signal.start(r.m.cfg.Selectors)
	}
	again, err := r.refresh(ctx)
	if ctx.Err() != nil {
		return nil // asked to stop before it began
	}
	r.again = again
	return err
}

// loop refreshes on hints, on retries that are due, and at intervals; losses it
// acts on at once.
func (r *runner) loop(ctx context.Context, n news) {
	var pending coalescer
	timer := time.NewTimer(r.again)
	defer timer.Stop()
	if r.again == 0 {
		timer.Stop()
	}
	tick := time.NewTicker(r.resync)
	defer tick.Stop()
	signals := time.NewTicker(signalInterval)
	defer signals.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-n.losses:
			r.lose(ctx, l)
			timer.Reset(pending.hint(time.Now()))
			continue
		case <-n.hints:
			timer.Reset(pending.hint(time.Now()))
			continue
		case <-tick.C:
			r.router.retryLock(ctx)
			if r.m.cfg.NetNS == 0 {
				r.signal.start(r.m.cfg.Selectors)
			}
		case <-signals.C:
			changed := r.signal.poll(r.last, r.m.cfg.Selectors)
			r.m.signals.Store(&r.signal.dBm)
			if !changed {
				continue
			}
		case <-timer.C:
		}
		pending = coalescer{}
		if again := r.refreshOrLog(ctx); again > 0 {
			timer.Reset(again)
		}
	}
}

func (r *runner) refreshOrLog(ctx context.Context) (again time.Duration) {
	again, err := r.refresh(ctx)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("cannot read the network configuration, trying again", "error", err)
		again = retryInterval
	}
	return again
}

// refresh takes a snapshot, brings source routing in line with it and tells
// about changes. It returns when to come back for what is not yet as it should
// be, 0 for no sooner than something happens.
func (r *runner) refresh(ctx context.Context) (again time.Duration, err error) {
	s, err := openSession(ctx, r.m.cfg.NetNS)
	if err != nil {
		return 0, err
	}
	defer s.close()
	sys, err := s.readSystem(r.log)
	if err != nil {
		return 0, fmt.Errorf("read network configuration: %w", err)
	}
	sys.weak = r.signal.weak()
	paths, ups := discover(sys, r.m.cfg.Selectors, r.names)
	again = r.router.update(s, paths, ups, plan{rules: sys.ownRules, routes: sys.ownRoutes})
	if r.router.on { // else the capability is missing for this, too, or nothing is to be changed
		if err := s.ask(r.log, returned(r.last, paths)); err != nil {
			r.log.Debug("a path that came up may need seconds until its gateway is found", "error", err)
		}
	}
	r.publish(warn(paths, sys))
	return again, nil
}

func (r *runner) publish(paths []Path) {
	r.m.paths.Store(&paths)
	cs := Compare(r.last, paths)
	r.last = paths
	if len(cs) == 0 && r.told {
		return
	}
	r.told = true
	if r.m.cfg.Notify != nil {
		r.m.cfg.Notify(clonePaths(paths))
	}
	for _, c := range cs {
		r.log.Info("path changed", "path", c.Path, "change", c.Kind.String(), "detail", c.Detail)
	}
}
