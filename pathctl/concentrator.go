package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
)

// ConcentratorConfig describes the controller of a concentrator.
type ConcentratorConfig struct {
	// Announce lists the addresses that clients are told (ADD_ADDR), so that a
	// path that has only the other family can take part. AnnounceAuto adds the
	// host's own public address of each family.
	Announce     []netip.Addr
	AnnounceAuto bool
	// UserSpace is as in ClientConfig.
	UserSpace bool
	// StateDir holds the journal of what has to be put back.
	StateDir string
	// Recorder is as in ClientConfig.
	Recorder Recorder
}

// Concentrator is the controller on the side that clients connect to: it lets
// their subflows join and announces addresses. It is a daemon task.
type Concentrator struct {
	cfg    ConcentratorConfig
	log    *slog.Logger
	kernel *kernel
	ready  chan struct{}
	last   []netip.Addr

	steering atomic.Pointer[steering] // nil: the kernel steers
	others   atomic.Pointer[othersWatch]
}

// NewConcentrator returns a controller; nothing happens before Run.
func NewConcentrator(cfg ConcentratorConfig, log *slog.Logger) *Concentrator {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Concentrator{
		cfg: cfg, log: log, ready: make(chan struct{}),
		kernel: newKernel("concentrator", firstConcentratorID, cfg.StateDir, log),
	}
}

// String names the task.
func (c *Concentrator) String() string { return "controller" }

// Ready is closed once subflows may join.
func (c *Concentrator) Ready() <-chan struct{} { return c.ready }

// Notices returns what else on this host has a say about subflows.
func (c *Concentrator) Notices() []coexist.Notice {
	if w := c.others.Load(); w != nil {
		return w.list()
	}
	return nil
}

// Run keeps limits and announced addresses in place, or steers, until ctx is
// done, then puts everything back.
func (c *Concentrator) Run(ctx context.Context) error {
	c.kernel.open(ctx)
	err := c.steerOrServe(ctx)
	return errors.Join(err, c.kernel.restore())
}

func (c *Concentrator) steerOrServe(ctx context.Context) error {
	s := c.kernel.steer(c.cfg.UserSpace, policy.Concentrator, c.addresses())
	g, ctx := errgroup.WithContext(ctx)
	others := newOthersWatch(c.kernel, s, nil, c.log)
	c.others.Store(others)
	g.Go(func() error { return others.run(ctx) })
	if s == nil {
		c.serve(ctx)
		return g.Wait()
	}
	s.engine.recorder = c.cfg.Recorder
	c.steering.Store(s)
	close(c.ready)
	g.Go(func() error { return s.run(ctx) })
	g.Go(func() error {
		return watchSleep(ctx, kernelClocks, wakeEvery, func(asleep time.Duration) { s.engine.post(ctx, s.engine.woke(asleep)) })
	})
	return errors.Join(g.Wait(), s.stop())
}

// serve lets the kernel's path manager do the work.
func (c *Concentrator) serve(ctx context.Context) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	c.register(ctx)
	close(c.ready)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.register(ctx)
		}
	}
}

// Register takes a connection under control. It does nothing where the kernel
// steers.
func (c *Concentrator) Register(ctx context.Context, reg Registration) {
	register(ctx, c.steering.Load(), reg)
}

// Describe says what a connection carries from now on.
func (c *Concentrator) Describe(ctx context.Context, token uapi.Token, d Description) {
	describe(ctx, c.steering.Load(), token, d)
}

// Unregister ends what Register began.
func (c *Concentrator) Unregister(ctx context.Context, token uapi.Token) {
	unregister(ctx, c.steering.Load(), token)
}

// Connections returns what the controller knows of the connections.
func (c *Concentrator) Connections(ctx context.Context) map[uapi.Token]ConnectionStatus {
	if s := c.steering.Load(); s != nil {
		return s.status(ctx)
	}
	return nil
}

// Decisions is as Client.Decisions.
func (c *Concentrator) Decisions(n uint64) ([]Decision, uint64, <-chan struct{}) {
	if s := c.steering.Load(); s != nil {
		return s.engine.decisions.since(n)
	}
	return nil, 0, nil
}

// Kernel is as Client.Kernel.
func (c *Concentrator) Kernel() KernelStatus { return c.kernel.status(c.steering.Load()) }

// Snapshot is as Client.Snapshot.
func (c *Concentrator) Snapshot(ctx context.Context) (Snapshot, bool) {
	return c.steering.Load().snapshot(ctx)
}

func (c *Concentrator) addresses() []netip.Addr {
	addrs := slices.Clone(c.cfg.Announce)
	if c.cfg.AnnounceAuto {
		addrs = append(addrs, publicAddrs()...)
	}
	return addrs
}

func (c *Concentrator) register(ctx context.Context) {
	addrs := c.addresses()
	if !slices.Equal(addrs, c.last) {
		c.log.Info("announcing addresses to clients", "addresses", fmt.Sprint(addrs))
		c.last = addrs
	}
	c.kernel.apply(ctx, announcements(addrs), func(now mptcppm.Limits) mptcppm.Limits {
		return mptcppm.Limits{
			Subflows:        mptcppm.MaxEndpoints, // clients decide how many they want
			AddAddrAccepted: now.AddAddrAccepted,  // a concentrator never connects to clients
		}
	})
}

// anywhere has for each family an address that any host reaches over its
// default route: from the benchmarking and the global unicast range.
var anywhere = []string{"198.18.0.1:9", "[2000::1]:9"}

// publicAddrs returns this host's source address towards the Internet in each
// family, where it is a public one: a private address means nothing to clients
// elsewhere, and could be somebody else's there. Nothing is sent.
func publicAddrs() []netip.Addr {
	var addrs []netip.Addr
	for _, to := range anywhere {
		conn, err := net.DialTimeout("udp", to, time.Second)
		if err != nil {
			continue // no route in this family
		}
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close()
		if local.IsGlobalUnicast() && !local.IsPrivate() && !sharedRange.Contains(local) {
			addrs = append(addrs, local)
		}
	}
	return addrs
}

// sharedRange is the address range of carrier-grade NAT (RFC 6598).
var sharedRange = netip.MustParsePrefix("100.64.0.0/10")
