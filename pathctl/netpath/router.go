package netpath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// stopTimeout bounds the removal of rules and routes when Run ends.
const stopTimeout = 3 * time.Second

// healInterval is the shortest time between two repairs of rules that somebody
// else removes, so that two programs that disagree do not keep a core busy.
const healInterval = time.Second

// A router keeps source routing as it should be. Run's goroutine owns it.
type router struct {
	m      *Monitor
	log    *slog.Logger
	lock   *lock
	on     bool
	slots  slots
	placed plan             // what was in place after the last update
	healed time.Time        // last repair of somebody else's removal
	failed map[uint32]error // tables that were not right at the last update
	logged map[uint32]string
}

func newRouter(m *Monitor) *router {
	return &router{m: m, log: m.log, slots: make(slots), logged: make(map[uint32]string)}
}

// start takes the lock, finds out whether it may work, and removes left-overs
// when it will not.
func (r *router) start(ctx context.Context) {
	reason := r.take(ctx)
	switch {
	case reason == nil && r.m.cfg.SourceRouting:
		r.setStatus(true, nil)
		return // the first update replaces left-overs
	case reason == nil || errors.Is(reason, ErrNotPermitted):
		if err := removeOwn(ctx, r.m.cfg.NetNS, r.log); err != nil {
			r.log.Warn("left-overs of an earlier run stay", "error", err)
		}
	}
	r.unlock()
	if !r.m.cfg.SourceRouting {
		r.setStatus(false, ErrDisabled)
		return
	}
	r.log.Warn("no source routing; paths work for sockets bound to their interface", "reason", reason)
	r.setStatus(false, reason)
}

// take acquires the lock and asks whether we may change rules.
func (r *router) take(ctx context.Context) error {
	var err error
	if r.lock, err = acquireLock(r.m.cfg.NetNS); err != nil {
		return err
	}
	s, err := rtnl.OpenSession(ctx, r.m.cfg.NetNS)
	if err != nil {
		return err
	}
	defer s.Close()
	return mayChange(s)
}

// retryLock takes over when the process that held the lock has gone.
func (r *router) retryLock(ctx context.Context) {
	if _, reason := r.m.SourceRouting(); !r.m.cfg.SourceRouting || !errors.Is(reason, ErrInUse) {
		return
	}
	err := r.take(ctx)
	if err == nil {
		r.log.Info("took over source routing")
	} else {
		r.unlock()
	}
	r.setStatus(err == nil, err)
}

func (r *router) setStatus(on bool, reason error) {
	r.on = on
	r.m.routing.Store(&routingStatus{active: on, reason: reason})
}

// update makes existing what the uplinks need, and notes in the paths which
// table is in place for which address.
func (r *router) update(s *rtnl.Session, paths []Path, ups []uplink, existing plan) (again time.Duration) {
	if !r.on {
		return 0
	}
	want, tables := desired(ups, r.slots)
	c := reconcile(want, existing)
	if healing := !c.empty() && r.samePlan(want); healing {
		if wait := healInterval - time.Since(r.healed); wait > 0 {
			fillTables(paths, ups, tables, r.failed)
			return wait
		}
		r.healed = time.Now()
		r.log.Info("putting back what another program removed",
			"rules", len(c.addRules), "routes", len(c.addRoutes)+len(c.replaceRoutes))
	}
	failed, err := apply(s, c)
	if err != nil {
		r.giveUp(err)
		return 0
	}
	r.placed, r.failed = want, failed
	r.logFailures(ups, tables)
	fillTables(paths, ups, tables, failed)
	if len(failed) > 0 {
		again = retryInterval
	}
	return again
}

// samePlan reports whether want was completely in place after the last update.
func (r *router) samePlan(want plan) bool {
	return len(r.failed) == 0 && slices.Equal(want.rules, r.placed.rules) && slices.Equal(want.routes, r.placed.routes)
}

// giveUp ends source routing for this run: capabilities do not come back.
func (r *router) giveUp(err error) {
	r.log.Warn("source routing stopped", "reason", err)
	r.unlock()
	r.setStatus(false, err)
}

// logFailures reports a failure that outlives a retry, once. The first one is
// often a race: the address went while we were adding its route.
func (r *router) logFailures(ups []uplink, tables []uint32) {
	for i, u := range ups {
		t := tables[i]
		if t == 0 {
			r.logOnce(t, "all of our routing tables are in use", u)
		} else if err := r.failed[t]; err != nil {
			r.logOnce(t, err.Error(), u)
		}
	}
	maps.DeleteFunc(r.logged, func(t uint32, _ string) bool { return t != 0 && r.failed[t] == nil })
}

func (r *router) logOnce(table uint32, why string, u uplink) {
	switch seen, ok := r.logged[table]; {
	case !ok:
		r.logged[table] = ""
		r.log.Debug("no source routing for an address, trying again", "path", u.pathName, "address", u.addr, "error", why)
	case seen == "":
		r.logged[table] = why
		r.log.Warn("no source routing for an address", "path", u.pathName, "address", u.addr, "error", why)
	}
}

// fillTables notes the tables that are in place. The uplinks are in the order
// of the paths' addresses.
func fillTables(paths []Path, ups []uplink, tables []uint32, failed map[uint32]error) {
	i := 0
	for p := range paths {
		for a := range paths[p].Addrs {
			if i < len(ups) && failed[tables[i]] == nil {
				paths[p].Addrs[a].Table = tables[i]
			}
			i++
		}
	}
}

// stop removes all that is ours. ctx has ended by now; the work gets a deadline
// of its own.
func (r *router) stop(ctx context.Context) error {
	if !r.on {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := removeOwn(ctx, r.m.cfg.NetNS, r.log)
	r.setStatus(false, ErrNotStarted)
	return err
}

func (r *router) unlock() {
	r.lock.release()
	r.lock = nil
}

func joinFailures(failed map[uint32]error) error {
	var errs []error
	for _, t := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, fmt.Errorf("table %d: %w", t, failed[t]))
	}
	return errors.Join(errs...)
}

// lockName is an abstract Unix address (unix(7)): it belongs to one network
// namespace, as routes do, and it vanishes with the process that holds it.
const lockName = "@mpproxy/source-routing"

// A lock makes its holder the only one in its network namespace that changes
// source routing.
type lock struct{ fd int }

// acquireLock does not wait: when another process holds the lock it returns
// ErrInUse.
func acquireLock(nsFD int) (*lock, error) {
	var l *lock
	err := inNetNS(nsFD, func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open lock socket: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: lockName}); err != nil {
			_ = unix.Close(fd)
			if errors.Is(err, unix.EADDRINUSE) {
				return ErrInUse
			}
			return fmt.Errorf("bind lock socket %s: %w", lockName, err)
		}
		l = &lock{fd: fd}
		return nil
	})
	return l, err
}

func (l *lock) release() {
	if l != nil {
		_ = unix.Close(l.fd)
	}
}

// inNetNS runs f on a thread in the namespace fd, or right here when fd is 0.
func inNetNS(fd int, f func() error) error {
	if fd == 0 {
		return f()
	}
	done := make(chan error, 1)
	go runInNetNS(fd, f, done)
	return <-done // f does not block
}

// runInNetNS leaves its thread locked, so that the runtime ends it: nobody else
// may find himself in that namespace.
func runInNetNS(fd int, f func() error, done chan<- error) {
	runtime.LockOSThread()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		done <- fmt.Errorf("enter network namespace: %w", err)
		return
	}
	done <- f()
}
