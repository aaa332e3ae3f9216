package pathctl

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/internal/hoststate"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
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

// applicationRole is the lock that one of several programs holds: the one that has
// taken the path manager over.
const applicationRole = "application"

// Application is the engine of Client in an ordinary program's own process. In
// a network namespace whose path manager is user space already it works beside
// whoever made it so; the first of several takes the path manager over, and
// when it ends the next one does. Only that one serves other programs'
// connections.
type Application struct {
	steered
	snapshots
	log      *slog.Logger
	client   *mptcppm.Client
	steering *steering
	monitor  *netpath.Monitor
	dir      string
	lock     *hoststate.Lock // nil: another program's
}

// OpenApplication opens what it takes to steer and takes the path manager over
// if nobody has. What earlier runs left is put back first. It fails with
// mptcppm.ErrPermission, also as fs.ErrPermission, without CAP_NET_ADMIN, and
// with mptcppm.ErrNotSupported on kernels that lack it; nothing is left then.
func OpenApplication(cfg ApplicationConfig, log *slog.Logger) (_ *Application, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Application{log: log, dir: cfg.StateDir, snapshots: newSnapshots()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.client, err = mptcppm.Dial(nil); err != nil {
		return nil, err
	}
	a.steering, err = openSteering(engine.Config{Role: policy.Client, Commands: a.client, LeaveStrangers: true, Log: log})
	if err != nil {
		return nil, err
	}
	taken, err := a.inherit()
	if err != nil {
		return nil, err
	}
	a.serveStrangers(context.Background(), taken)
	a.engine.Store(a.steering.engine)
	a.monitor = netpath.New(netpath.Config{
		Selectors: cfg.Selectors, SourceRouting: cfg.SourceRouting, Notify: a.offer,
	}, log)
	return a, nil
}

// inherit takes the path manager over unless another program of this kind has
// it. taken says that it was the kernel's before.
func (a *Application) inherit() (taken bool, err error) {
	lock, err := hoststate.LockRole(applicationRole)
	if errors.Is(err, hoststate.ErrInUse) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.lock = lock
	j, err := hoststate.OpenJournal(a.dir, applicationRole)
	if err != nil {
		return false, err
	}
	a.steering.journal = j
	if err := hoststate.ReturnPathManager(j); err != nil { // after a crash
		return false, err
	}
	before, err := hoststate.TakePathManager(j)
	if err != nil {
		return false, err
	}
	taken, err = hoststate.PathManagerTaken(j)
	if taken {
		a.log.Info("took over the path manager of this network namespace", "before", before, "timeouts", a.steering.watch.Mechanism().String())
	}
	return taken, err
}

// serveStrangers has the engine serve other programs' connections if the path manager
// was the kernel's before.
func (a *Application) serveStrangers(ctx context.Context, taken bool) {
	if taken {
		a.steering.engine.LeaveStrangers(ctx, false)
	}
}

// Run steers until ctx is done, then puts everything back. It must be called
// once after OpenApplication.
func (a *Application) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.steering.engine.Run(ctx) })
	g.Go(func() error { return a.monitor.Run(ctx) })
	g.Go(func() error {
		a.follow(ctx, nil, func(paths []netpath.Path) { a.steering.engine.SetPaths(ctx, paths) })
		return nil
	})
	g.Go(func() error { return a.succeed(ctx) })
	return errors.Join(g.Wait(), a.close())
}

// close gives everything back that was opened.
func (a *Application) close() error {
	var errs []error
	if a.steering != nil {
		errs = append(errs, a.steering.close())
	}
	a.lock.Release()
	if a.client != nil {
		errs = append(errs, a.client.Close())
	}
	return errors.Join(errs...)
}

// succeed waits until it can take over from a program that has ended.
func (a *Application) succeed(ctx context.Context) error {
	tick := time.NewTicker(heirInterval)
	defer tick.Stop()
	for a.lock == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		taken, err := a.inherit()
		if err != nil {
			a.log.Warn("cannot take over the path manager from a program that has ended", "error", err)
		}
		a.serveStrangers(ctx, taken)
	}
	return nil
}

// Handle changes the subflows of a connection that was registered.
func (a *Application) Handle(token uapi.Token) engine.Handle { return a.engine.Load().Handle(token) }
