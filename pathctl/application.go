package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/internal/journal"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// ApplicationConfig describes the controller of a program that steers its own
// connections.
type ApplicationConfig struct {
	// Selectors choose the paths, as in ClientConfig.
	Selectors []netpath.Selector
	// SourceRouting makes what leaves from a path's address leave over that
	// path.
	SourceRouting bool
	// StateDir holds the journal of what has to be put back.
	StateDir string
}

// heirInterval is how often a program looks whether the one that had taken the
// path manager over has ended.
const heirInterval = time.Second

// Application is the engine of Client in an ordinary program's own process. In
// a network namespace whose path manager is user space already it works beside
// whoever made it so; the first of several takes the path manager over, and
// when it ends the next one does. Only that one serves other programs'
// connections.
type Application struct {
	log     *slog.Logger
	client  *mptcppm.Client
	events  *mptcppm.Events
	watch   *subflowbpf.Watcher
	engine  *engine
	monitor *netpath.Monitor

	dir     string
	lock    *roleLock        // nil: another program's
	journal *journal.Journal // with lock

	steering  *steering // for register and unregister
	snapshots chan []netpath.Path
	ready     chan struct{}
	paths     atomic.Pointer[[]netpath.Path]
}

// OpenApplication opens what it takes to steer and takes the path manager over
// if nobody has. What earlier runs left is put back first. It fails with
// mptcppm.ErrPermission, also as fs.ErrPermission, without CAP_NET_ADMIN, and
// with mptcppm.ErrNotSupported on kernels that lack it; nothing is left then.
func OpenApplication(cfg ApplicationConfig, log *slog.Logger) (_ *Application, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Application{
		log: log, dir: cfg.StateDir,
		snapshots: make(chan []netpath.Path, 1), ready: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.client, err = mptcppm.Dial(nil); err != nil {
		return nil, err
	}
	if a.events, err = mptcppm.DialEvents(eventsWanted()); err != nil {
		return nil, fmt.Errorf("listening to the kernel's MPTCP events: %w", err)
	}
	if a.watch, err = subflowbpf.Open(subflowbpf.Config{TimeoutsOnly: true, Backlog: true}, log); err != nil {
		return nil, fmt.Errorf("watching for timeouts: %w", err)
	}
	a.engine = newEngine(policy.Client, a.client, a.events, a.watch, nil, log)
	a.engine.leaveStrangers = true
	a.steering = &steering{engine: a.engine, watch: a.watch}
	taken, err := a.inherit()
	if err != nil {
		return nil, err
	}
	a.engine.leaveStrangers = !taken
	a.monitor = netpath.New(netpath.Config{
		Selectors: cfg.Selectors, SourceRouting: cfg.SourceRouting, Notify: a.offer,
	}, log)
	return a, nil
}

// inherit takes the path manager over unless another program of this kind has
// it. taken says that it was the kernel's before.
func (a *Application) inherit() (taken bool, err error) {
	const role = "application"
	lock, err := lockRole(role)
	if errors.Is(err, ErrInUse) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.lock = lock
	if a.journal, err = journal.Open(a.dir, role); err != nil {
		return false, err
	}
	if err := returnPathManager(a.journal); err != nil { // after a crash
		return false, err
	}
	before, err := takePathManager(a.journal)
	if err != nil {
		return false, err
	}
	taken, err = a.journal.Pending(pathManagerKey, new(savedSysctl))
	if taken {
		a.log.Info("took over the path manager of this network namespace", "before", before, "timeouts", a.watch.Mechanism().String())
	}
	return taken, err
}

// Run steers until ctx is done, then puts everything back. It must be called
// once after OpenApplication.
func (a *Application) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.engine.run(ctx) })
	g.Go(func() error { return a.engine.receiveTimeouts(ctx) })
	g.Go(func() error { return a.monitor.Run(ctx) })
	g.Go(func() error { return a.follow(ctx) })
	return errors.Join(g.Wait(), a.close())
}

// close gives everything back that was opened.
func (a *Application) close() error {
	var errs []error
	if a.journal != nil {
		errs = append(errs, returnPathManager(a.journal))
	}
	a.lock.release()
	if a.watch != nil {
		errs = append(errs, a.watch.Close())
	}
	if a.events != nil {
		errs = append(errs, a.events.Close())
	}
	if a.client != nil {
		errs = append(errs, a.client.Close())
	}
	return errors.Join(errs...)
}

// follow hands snapshots of the paths to the engine, and waits to inherit.
func (a *Application) follow(ctx context.Context) error {
	tick := time.NewTicker(heirInterval)
	defer tick.Stop()
	for first := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.succeed(ctx)
		case paths := <-a.snapshots:
			a.engine.post(ctx, a.engine.setPaths(paths))
			a.paths.Store(&paths)
			if first {
				first = false
				close(a.ready)
			}
		}
	}
}

// succeed takes over from a program that has ended.
func (a *Application) succeed(ctx context.Context) {
	if a.lock != nil {
		return
	}
	taken, err := a.inherit()
	if err != nil {
		a.log.Warn("cannot take over the path manager from a program that has ended", "error", err)
	}
	if taken {
		a.engine.post(ctx, func(time.Time) { a.engine.leaveStrangers = false })
	}
}

// offer replaces the snapshot that waits, if one does.
func (a *Application) offer(paths []netpath.Path) {
	for {
		select {
		case a.snapshots <- paths:
			return
		default:
		}
		select {
		case <-a.snapshots:
		default:
		}
	}
}

// Ready is closed once the first snapshot of the paths has been acted on.
func (a *Application) Ready() <-chan struct{} { return a.ready }

// Paths returns the newest snapshot.
func (a *Application) Paths() []netpath.Path {
	if p := a.paths.Load(); p != nil {
		return *p
	}
	return nil
}

// SourceRouting is as Client.SourceRouting.
func (a *Application) SourceRouting() (bool, error) { return a.monitor.SourceRouting() }

// Register takes a connection under control, or changes how.
func (a *Application) Register(ctx context.Context, reg Registration) {
	register(ctx, a.steering, reg)
}

// Unregister ends what Register began.
func (a *Application) Unregister(ctx context.Context, token uapi.Token) {
	unregister(ctx, a.steering, token)
}

// Decisions is as Client.Decisions.
func (a *Application) Decisions(n uint64) ([]Decision, uint64, <-chan struct{}) {
	return a.engine.decisions.since(n)
}

// Troubled is as Client.Troubled.
func (a *Application) Troubled(path string) bool {
	return time.Now().Before((*a.engine.troubled.Load())[path])
}

// UserSpace reports whether new connections of this network namespace belong
// to the path manager in user space. It looks at the calling thread's.
func UserSpace() (bool, error) {
	b, err := os.ReadFile(sysctlByName)
	if err == nil {
		return strings.TrimSpace(string(b)) == "userspace", nil
	}
	b, err = os.ReadFile(sysctlByNumber)
	return strings.TrimSpace(string(b)) == "1", err
}
