package netpath

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
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
	memory *memory
	last   []Path
	told   bool // Notify was called once

	again time.Duration // when to look after start, 0: when something happens

	resync time.Duration // resyncInterval
}

func newRunner(m *Monitor) *runner {
	return &runner{
		m: m, log: m.log, router: newRouter(m), signal: newSignalWatch(openRadio, m.log), memory: newMemory(),
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
	s, err := rtnl.OpenSession(ctx, r.m.cfg.NetNS)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	sys, err := s.ReadSystem(r.log)
	if err != nil {
		return 0, fmt.Errorf("read network configuration: %w", err)
	}
	sys.Weak = r.signal.weak()
	paths, ups := discover(sys, r.m.cfg.Selectors, r.memory)
	again = r.router.update(s, paths, ups, plan{rules: sys.OwnRules, routes: sys.OwnRoutes})
	if r.router.on { // else the capability is missing for this, too, or nothing is to be changed
		if err := s.Ask(r.log, returned(r.last, paths)); err != nil {
			r.log.Debug("a path that came up may need seconds until its gateway is found", "error", err)
		}
	}
	r.m.foreign.Store(new(obstacles(sys, paths)))
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

// A loss is the news that a link works no more or that an address is gone. It
// is acted on at once: traffic is lying on the path. What comes up can wait until
// its configuration is complete, and so can a default route that goes, because
// moving one is often done by removing it and adding another.
type loss struct {
	index int
	addr  netip.Addr // invalid: the whole link
}

// maxLosses bounds those that wait. One more is only a hint: the path is looked
// at a little later.
const maxLosses = 64

// lossOf reads a notification; false when it is about something else.
func lossOf(m netlink.Message) (loss, bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK:
		l, err := rtnl.DecodeLink(m.Data)
		return loss{index: l.Index}, err == nil && !works(l)
	case unix.RTM_DELLINK:
		l, err := rtnl.DecodeLink(m.Data)
		return loss{index: l.Index}, err == nil
	case unix.RTM_DELADDR:
		a, err := rtnl.DecodeAddress(m.Data)
		return loss{a.Index, a.Addr}, err == nil && a.Addr.IsValid()
	}
	return loss{}, false
}

// works reports whether a link can carry frames. IFF_RUNNING follows the carrier
// with a delay of up to a second when links change often (net/core/link_watch.c);
// IFF_LOWER_UP does not.
func works(l rtnl.Link) bool { return linkFault(l) == "" }

// linkFault says why a link carries nothing; empty when it does.
func linkFault(l rtnl.Link) string {
	const carrying = unix.IFF_RUNNING | unix.IFF_LOWER_UP
	switch {
	case l.Flags&unix.IFF_UP == 0:
		return "link down"
	case l.Flags&carrying != carrying:
		return "no carrier"
	}
	return ""
}

// concerns reports whether a path that is up has lost something.
func (l loss) concerns(paths []Path) bool {
	return slices.ContainsFunc(paths, func(p Path) bool {
		return p.State == Up && p.Index == l.index &&
			(!l.addr.IsValid() || slices.ContainsFunc(p.Addrs, func(a Addr) bool { return a.Addr == l.addr }))
	})
}

// lose looks whether a path has really lost what a notification says, and tells
// at once if it has. Routing follows when the next snapshot is taken.
func (r *runner) lose(ctx context.Context, l loss) {
	if !l.concerns(r.last) {
		return
	}
	s, err := rtnl.OpenSession(ctx, r.m.cfg.NetNS)
	if err != nil {
		return // the next snapshot tells
	}
	defer s.Close()
	links, err := s.ReadLinks(r.log)
	if err != nil {
		return
	}
	addrs, err := s.ReadAddresses(r.log)
	if err != nil {
		return
	}
	r.publish(remaining(clonePaths(r.last), links, addrs))
}

// remaining takes from paths that are up what is there no more.
func remaining(paths []Path, links []rtnl.Link, addrs []rtnl.Address) []Path {
	for i := range paths {
		p := &paths[i]
		if p.State != Up {
			continue
		}
		p.Addrs = slices.DeleteFunc(p.Addrs, func(a Addr) bool {
			return !slices.ContainsFunc(addrs, func(b rtnl.Address) bool { return b.Index == p.Index && b.Addr == a.Addr })
		})
		at := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Index == p.Index })
		switch {
		case at < 0:
			p.Reason, p.Index = "not found", 0
		case !works(links[at]):
			p.Reason = linkFault(links[at])
		case len(p.Addrs) == 0:
			p.Reason = "no address"
		default:
			continue
		}
		p.State, p.Warning, p.Addrs = Down, "", nil
	}
	return paths
}

// An interface that comes up sends a dozen messages within milliseconds, and
// between them the configuration is incomplete.
const (
	quietTime = 30 * time.Millisecond  // without a hint, before we look
	maxDelay  = 250 * time.Millisecond // from the first hint, at the latest
)

// A coalescer turns a burst of hints into one look.
type coalescer struct{ first time.Time }

// hint notes one and returns in how long to look.
func (c *coalescer) hint(now time.Time) time.Duration {
	if c.first.IsZero() {
		c.first = now
	}
	return max(0, min(quietTime, c.first.Add(maxDelay).Sub(now)))
}
