package pathctl

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

// ClientConfig describes the controller of a client.
type ClientConfig struct {
	Selectors []netpath.Selector
	// UserSpace makes mpproxy the path manager of the network namespace, where
	// the privileges allow; otherwise, and without it, the kernel's own one
	// makes the subflows.
	UserSpace bool
	// StateDir holds the journal of what has to be put back.
	StateDir string
	Recorder Recorder // of what the policies saw and decided; nil: nobody
}

// Client is the controller on the side that has the paths. It is a daemon
// task; its readers may be called from any goroutine.
type Client struct {
	cfg     ClientConfig
	log     *slog.Logger
	monitor *netpath.Monitor
	kernel  *kernel

	snapshots chan []netpath.Path // the newest one only
	ready     chan struct{}
	paths     atomic.Pointer[[]netpath.Path]
	steering  atomic.Pointer[steering] // nil: the kernel steers
	others    atomic.Pointer[othersWatch]
}

// NewClient returns a controller; nothing happens before Run.
func NewClient(cfg ClientConfig, log *slog.Logger) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg: cfg, log: log,
		kernel:    newKernel("client", firstClientID, cfg.StateDir, log),
		snapshots: make(chan []netpath.Path, 1),
		ready:     make(chan struct{}),
	}
	c.monitor = netpath.New(netpath.Config{
		Selectors: cfg.Selectors, SourceRouting: true, Notify: c.offer,
	}, log)
	return c
}

// String names the task.
func (c *Client) String() string { return "controller" }

// Ready is closed once the first snapshot of the paths has been acted on.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// Paths returns the newest snapshot.
func (c *Client) Paths() []netpath.Path {
	if p := c.paths.Load(); p != nil {
		return *p
	}
	return nil
}

// Counters reads the byte counters of the paths' interfaces, by path name.
func (c *Client) Counters(ctx context.Context) (map[string]netpath.Counters, error) {
	return c.monitor.Counters(ctx)
}

// Signal returns a path's Wi-Fi signal in dBm, if it has one that can be read.
func (c *Client) Signal(p netpath.Path) (dBm int, ok bool) { return c.monitor.Signal(p) }

// SourceRouting reports whether traffic from a path's address leaves over that
// path, and why not.
func (c *Client) SourceRouting() (bool, error) { return c.monitor.SourceRouting() }

// Kernel returns what is registered with the kernel's path manager.
func (c *Client) Kernel() KernelStatus { return c.kernel.status(c.steering.Load()) }

// Notices returns what else on this host has a say about subflows.
func (c *Client) Notices() []coexist.Notice {
	if w := c.others.Load(); w != nil {
		return w.list()
	}
	return nil
}

// strictPaths lists the interfaces whose strict reverse path filter does no harm
// only because of source routing.
func (c *Client) strictPaths() []string {
	var out []string
	for _, p := range c.Paths() {
		if p.State == netpath.Up && p.StrictFilter && p.Warning == "" {
			out = append(out, p.Interface)
		}
	}
	return out
}

// Run follows the paths until ctx is done, then puts everything back.
func (c *Client) Run(ctx context.Context) error {
	c.kernel.open(ctx)
	g, ctx := errgroup.WithContext(ctx)
	s := c.kernel.steer(c.cfg.UserSpace, policy.Client, nil)
	if s != nil {
		s.engine.recorder = c.cfg.Recorder
		c.steering.Store(s)
		g.Go(func() error { return s.run(ctx) })
	}
	others := newOthersWatch(c.kernel, s, c.strictPaths, c.log)
	c.others.Store(others)
	g.Go(func() error { return others.run(ctx) })
	g.Go(func() error { return c.monitor.Run(ctx) })
	g.Go(func() error { return watchSleep(ctx, kernelClocks, wakeEvery, c.woke(ctx)) })
	g.Go(func() error { return c.follow(ctx) })
	err := g.Wait()
	if s != nil {
		err = errors.Join(err, s.stop())
	}
	return errors.Join(err, c.kernel.restore())
}

// woke is called when the machine has slept.
func (c *Client) woke(ctx context.Context) func(time.Duration) {
	return func(asleep time.Duration) {
		c.log.Info("the machine has slept: reading paths and connections anew", "for", asleep)
		c.monitor.Resync()
		if s := c.steering.Load(); s != nil {
			s.engine.post(ctx, s.engine.woke(asleep))
		}
	}
}

// Register takes a connection under control. It does nothing where the kernel
// steers.
func (c *Client) Register(ctx context.Context, reg Registration) {
	register(ctx, c.steering.Load(), reg)
}

// Describe says what a connection carries from now on.
func (c *Client) Describe(ctx context.Context, token uapi.Token, d Description) {
	describe(ctx, c.steering.Load(), token, d)
}

// Begun says that the first data was sent on a connection that was registered so that
// it begins.
func (c *Client) Begun() { begun(c.steering.Load()) }

// Unregister ends what Register began.
func (c *Client) Unregister(ctx context.Context, token uapi.Token) {
	unregister(ctx, c.steering.Load(), token)
}

// Connections returns what the controller knows of the connections.
func (c *Client) Connections(ctx context.Context) map[uapi.Token]ConnectionStatus {
	if s := c.steering.Load(); s != nil {
		return s.status(ctx)
	}
	return nil
}

// Decisions returns the decisions from number n on, the number of the next
// one, and a channel that is closed when it comes; nil where the kernel steers.
func (c *Client) Decisions(n uint64) ([]Decision, uint64, <-chan struct{}) {
	if s := c.steering.Load(); s != nil {
		return s.engine.decisions.since(n)
	}
	return nil, 0, nil
}

// Snapshot returns what there is to be counted and measured; false where the
// kernel steers, or when the controller does not answer before ctx ends.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, bool) {
	return c.steering.Load().snapshot(ctx)
}

// Troubled reports whether new connections should rather start on another path.
func (c *Client) Troubled(path string) bool {
	s := c.steering.Load()
	return s != nil && time.Now().Before((*s.engine.troubled.Load())[path])
}

// offer hands a snapshot to the controller's goroutine; an older one that was
// not taken yet is replaced.
func (c *Client) offer(paths []netpath.Path) {
	for {
		select {
		case c.snapshots <- paths:
			return
		default:
		}
		select {
		case <-c.snapshots:
		default:
		}
	}
}

// recheck is how often the kernel's state is compared with what is wanted
// although no path has changed: somebody may have flushed the endpoints.
const recheck = 30 * time.Second

func (c *Client) follow(ctx context.Context) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	var paths []netpath.Path
	for first := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case paths = <-c.snapshots:
		case <-tick.C:
			if first {
				continue
			}
		}
		if s := c.steering.Load(); s != nil {
			s.engine.post(ctx, s.engine.setPaths(paths))
		} else {
			c.register(ctx, paths)
		}
		c.paths.Store(&paths)
		if first {
			first = false
			close(c.ready)
		}
	}
}

// register makes the kernel's endpoints and limits follow the paths. While no
// path is up everything stays as it was: subflows that are cut off now may
// work again in a moment, and there is nothing to move to.
func (c *Client) register(ctx context.Context, paths []netpath.Path) {
	want := endpointsFor(paths)
	if len(want) == 0 {
		return
	}
	c.kernel.apply(ctx, want, func(now mptcppm.Limits) mptcppm.Limits { return limitsFor(paths, now) })
}
