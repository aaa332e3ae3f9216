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
	shared   *hoststate.Shared
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
	if a.shared, err = hoststate.OpenShared(a.dir); err != nil {
		return nil, err
	}
	serves, err := a.inherit()
	if err != nil {
		return nil, err
	}
	a.serveStrangers(context.Background(), serves)
	a.engine.Store(a.steering.engine)
	a.monitor = netpath.New(netpath.Config{
		Selectors: cfg.Selectors, SourceRouting: cfg.SourceRouting, Notify: a.offer,
	}, log)
	return a, nil
}

// inherit makes this program the one that serves other programs' connections, unless
// another does, and takes the path manager, which all of them need. serves says that it is
// that one: an mpproxy has taken the path manager from the kernel, and no client runs.
func (a *Application) inherit() (serves bool, err error) {
	lock, err := hoststate.LockRole(a.dir, applicationRole)
	first := err == nil
	switch {
	case first:
		a.lock = lock
		err = a.putBack() // after a crash
	case errors.Is(err, hoststate.ErrInUse):
		err = nil
	}
	if err != nil || !first && a.steering.shared != nil {
		return false, err
	}
	a.steering.shared = a.shared
	before, taken, err := a.shared.Take(hoststate.PathManager)
	if err != nil || !first {
		return false, err
	}
	if taken {
		a.log.Info("took over the path manager of this network namespace", "before", before, "timeouts", a.steering.watch.Mechanism().String())
	}
	ours, err := a.shared.Changed(hoststate.PathManager)
	client, rerr := a.shared.Runs("client")
	return ours && !client, errors.Join(err, rerr)
}

// putBack puts back what programs left that were killed.
func (a *Application) putBack() error {
	old, err := hoststate.OpenJournal(a.dir, applicationRole)
	if err != nil {
		return err
	}
	return errors.Join(a.shared.Restore(), a.shared.Adopt(old), old.Close())
}

// serveStrangers has the engine serve other programs' connections if that falls to it.
func (a *Application) serveStrangers(ctx context.Context, serves bool) {
	if serves {
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
	g.Go(func() error { return (&keeper{shared: a.shared, log: a.log}).run(ctx) })
	return errors.Join(g.Wait(), a.close())
}

// close gives everything back that was opened.
func (a *Application) close() error {
	var errs []error
	if a.steering != nil {
		errs = append(errs, a.steering.close())
	}
	a.lock.Release()
	errs = append(errs, a.shared.Close())
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
		serves, err := a.inherit()
		if err != nil {
			a.log.Warn("cannot take over the path manager from a program that has ended", "error", err)
		}
		a.serveStrangers(ctx, serves)
	}
	return nil
}

// Handle changes the subflows of a connection that was registered.
func (a *Application) Handle(token uapi.Token) engine.Handle { return a.engine.Load().Handle(token) }
