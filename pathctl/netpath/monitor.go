package netpath

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"mpproxy/pathctl/netpath/rtnl"
)

// Config says what a Monitor looks for and what it does.
type Config struct {
	Selectors []Selector // first match wins; none: every usable interface is a path

	// SourceRouting adds a routing table and rules for each path address.
	// Without CAP_NET_ADMIN the monitor works on without them, and says so.
	SourceRouting bool

	// Notify is called from Run's goroutine with the first snapshot and with
	// each one in which something relevant changed; Compare says what. Source
	// routing is in place by then for what has come; what has gone is told at
	// once. It must not block for long; the paths are the callee's to keep.
	// Nil: nobody is told.
	Notify func([]Path)

	// NetNS is an open descriptor of the network namespace to work in, 0 for
	// that of the process. Another one needs CAP_SYS_ADMIN.
	NetNS int
}

// A Monitor follows the host's paths. Its methods may be called from any
// goroutine; Run may be called once.
type Monitor struct {
	cfg  Config
	log  *slog.Logger
	news news

	// What Run's goroutine publishes. It alone writes; readers get values.
	paths   atomic.Pointer[[]Path]
	routing atomic.Pointer[routingStatus]
	signals atomic.Pointer[map[int]int]
	foreign atomic.Pointer[[]Obstacle]
}

type routingStatus struct {
	active bool
	reason error
}

// New returns a monitor that does nothing until Run. A nil logger is silent.
func New(cfg Config, log *slog.Logger) *Monitor {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Monitor{cfg: cfg, log: log, news: newNews()}
	m.paths.Store(new([]Path))
	m.signals.Store(new(map[int]int))
	m.routing.Store(&routingStatus{reason: ErrNotStarted})
	return m
}

// Run follows the paths until ctx ends, then takes back what it added to the
// kernel, within three seconds, and returns nil. It returns an error when it
// cannot work at all: a bad selector (ErrBadSelector), no rtnetlink; or when it
// could not take back everything, which the next start or Cleanup will.
func (m *Monitor) Run(ctx context.Context) error {
	for _, s := range m.cfg.Selectors {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	// Listen before the first dump, so that nothing falls between the two.
	w, err := openWatch(m.cfg.NetNS)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Add(1)
	go watchLoop(ctx, &watching, w, m.cfg.NetNS, m.news, m.log)
	defer watching.Wait()
	defer cancel()

	r := newRunner(m)
	defer r.router.unlock()
	defer r.signal.stop()
	if err := r.start(ctx); err != nil {
		return err
	}
	r.loop(ctx, m.news)
	return r.router.stop(ctx)
}

// Resync makes Run look at everything soon, whether or not the kernel has told
// of a change: after a suspend, say. It does not wait.
func (m *Monitor) Resync() { m.news.hint() }

// Paths returns the latest snapshot, nothing before the first.
func (m *Monitor) Paths() []Path { return clonePaths(*m.paths.Load()) }

// Obstacles returns the rules of other programs that come before ours and catch what
// leaves from the paths of the latest snapshot.
func (m *Monitor) Obstacles() []Obstacle {
	if p := m.foreign.Load(); p != nil {
		return slices.Clone(*p)
	}
	return nil
}

// Signal returns how strong a path's Wi-Fi signal was a moment ago, in dBm; false
// when it has none that can be read.
func (m *Monitor) Signal(p Path) (dBm int, ok bool) {
	dBm, ok = (*m.signals.Load())[p.Index]
	return dBm, ok
}

// SourceRouting tells whether source routing is in place, or why not; the
// reason matches one of ErrNotStarted, ErrDisabled, ErrNotPermitted, ErrInUse,
// or is what went wrong.
func (m *Monitor) SourceRouting() (active bool, reason error) {
	s := m.routing.Load()
	return s.active, s.reason
}

// Counters reads the byte counters of the latest snapshot's paths, by path
// name, over a netlink socket of its own: it neither waits for Run nor holds it
// up. Paths without an interface are left out.
func (m *Monitor) Counters(ctx context.Context) (map[string]rtnl.Counters, error) {
	s, err := rtnl.OpenSession(ctx, m.cfg.NetNS)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	links, err := s.ReadLinks(m.log)
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int]rtnl.Counters, len(links))
	for _, l := range links {
		byIndex[l.Index] = l.Counters
	}
	counters := make(map[string]rtnl.Counters)
	for _, p := range *m.paths.Load() {
		if c, ok := byIndex[p.Index]; ok {
			counters[p.Name] = c
		}
	}
	return counters, nil
}

// Cleanup removes the rules and routes that a crashed mpproxy left in this
// network namespace. Run does it by itself. The error matches ErrInUse when
// they belong to a process that is alive, and ErrNotPermitted when there are
// some and we may not remove them.
func (m *Monitor) Cleanup(ctx context.Context) error {
	l, err := acquireLock(m.cfg.NetNS)
	if err != nil {
		return err
	}
	defer l.release()
	return removeOwn(ctx, m.cfg.NetNS, m.log)
}

// Discover returns one snapshot of the paths and changes nothing. A nil logger
// is silent.
func Discover(ctx context.Context, cfg Config, log *slog.Logger) ([]Path, error) {
	m := New(cfg, log)
	for _, sel := range cfg.Selectors {
		if err := sel.Validate(); err != nil {
			return nil, err
		}
	}
	s, err := rtnl.OpenSession(ctx, cfg.NetNS)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	sys, err := s.ReadSystem(m.log)
	if err != nil {
		return nil, err
	}
	paths, _ := discover(sys, cfg.Selectors, newMemory())
	return warn(paths, sys), nil
}

// removeOwn removes all that is tagged ours and in our range.
func removeOwn(ctx context.Context, nsFD int, log *slog.Logger) error {
	s, err := rtnl.OpenSession(ctx, nsFD)
	if err != nil {
		return err
	}
	defer s.Close()
	var existing plan
	if existing.rules, existing.routes, err = s.ReadOwn(log); err != nil {
		return err
	}
	c := reconcile(plan{}, existing)
	if c.empty() {
		return nil
	}
	failed, err := apply(s, c)
	if err == nil {
		err = joinFailures(failed)
	}
	if err != nil {
		return fmt.Errorf("remove our rules and routes: %w", err)
	}
	log.Info("removed source routing", "rules", len(c.delRules), "routes", len(c.delRoutes))
	return nil
}
