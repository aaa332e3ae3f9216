package pathctl

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/inkernel"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/netpath/rtnl"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/suspend"
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
	Recorder engine.Recorder // of what the policies saw and decided; nil: nobody
}

// Client is the controller on the side that has the paths. It is a daemon
// task; its readers may be called from any goroutine.
type Client struct {
	controller
	snapshots
	legs
	monitor *netpath.Monitor
}

// NewClient returns a controller; nothing happens before Run.
func NewClient(cfg ClientConfig, log *slog.Logger) *Client {
	c := &Client{snapshots: newSnapshots(), controller: controller{
		name: "client", role: policy.Client, firstID: mptcppm.FirstClientID,
		dir: cfg.StateDir, userSpace: cfg.UserSpace, recorder: cfg.Recorder,
	}}
	c.init(log)
	c.monitor = netpath.New(netpath.Config{
		Selectors: cfg.Selectors, SourceRouting: true, Notify: c.offer,
	}, c.log)
	return c
}

// Counters reads the byte counters of the paths' interfaces, by path name.
func (c *Client) Counters(ctx context.Context) (map[string]rtnl.Counters, error) {
	return c.monitor.Counters(ctx)
}

// Signal returns a path's Wi-Fi signal in dBm, if it has one that can be read.
func (c *Client) Signal(p netpath.Path) (dBm int, ok bool) { return c.monitor.Signal(p) }

// LegMet takes what a leg to an address of the concentrator met on a path; why says in
// words what is bad about it.
func (c *Client) LegMet(path string, to netip.Addr, r pathstate.Result, why string) {
	c.legs.met(path, to, r, why)
	if e := c.engine.Load(); e != nil {
		e.LegMet(path, r)
	}
}

// SourceRouting reports whether traffic from a path's address leaves over that
// path, and why not.
func (c *Client) SourceRouting() (bool, error) { return c.monitor.SourceRouting() }

// Run follows the paths until ctx is done, then puts everything back.
func (c *Client) Run(ctx context.Context) error {
	c.open()
	s := c.steer(nil)
	g, ctx := errgroup.WithContext(ctx)
	if s != nil {
		g.Go(func() error { return s.engine.Run(ctx) })
		g.Go(func() error { return s.keeper.run(ctx) })
	}
	g.Go(func() error {
		return c.watchOthers(ctx, s, coexist.WatchConfig{Strict: c.strictPaths, Rules: c.monitor.Obstacles})
	})
	g.Go(func() error { return c.monitor.Run(ctx) })
	g.Go(func() error { return suspend.Watch(ctx, c.woke(ctx)) })
	g.Go(func() error { return c.act(ctx) })
	return errors.Join(g.Wait(), c.close(s))
}

// act makes the engine, or the kernel's endpoints and limits, follow the paths. While
// no path is up the endpoints stay as they were: subflows that are cut off now may
// work again in a moment, and there is nothing to move to.
func (c *Client) act(ctx context.Context) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	c.snapshots.follow(ctx, tick.C, func(paths []netpath.Path) {
		c.legs.follow(paths)
		if e := c.engine.Load(); e != nil {
			e.SetPaths(ctx, paths)
		} else if want := inkernel.EndpointsFor(paths); len(want) > 0 {
			c.register(ctx, want, func(now mptcppm.Limits) mptcppm.Limits { return inkernel.LimitsFor(paths, now) })
		}
	})
	return nil
}

// woke is called when the machine has slept.
func (c *Client) woke(ctx context.Context) func(time.Duration) {
	return func(asleep time.Duration) {
		c.log.Info("the machine has slept: reading paths and connections anew", "for", asleep)
		c.monitor.Resync()
		c.legs.forget()
		if e := c.engine.Load(); e != nil {
			e.Woke(ctx, asleep)
		}
	}
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
