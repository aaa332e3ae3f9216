package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/inkernel"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/suspend"
)

// ConcentratorConfig describes the controller of a concentrator.
type ConcentratorConfig struct {
	// Announce lists the addresses that clients are told (ADD_ADDR), so that a
	// path that has only the other family can take part. AnnounceAuto adds the
	// host's own public address of each family.
	Announce     []netip.Addr
	AnnounceAuto bool
	// MostSubflows is how many subflows a connection may have; 0: the engine's default.
	MostSubflows int
	// UserSpace is as in ClientConfig.
	UserSpace bool
	// StateDir holds the journal of what has to be put back.
	StateDir string
	// Recorder is as in ClientConfig.
	Recorder engine.Recorder
}

// Concentrator is the controller on the side that clients connect to: it lets
// their subflows join and announces addresses. It is a daemon task.
type Concentrator struct {
	controller
	cfg   ConcentratorConfig
	ready chan struct{}
	last  []netip.Addr // that were announced
}

// NewConcentrator returns a controller; nothing happens before Run.
func NewConcentrator(cfg ConcentratorConfig, log *slog.Logger) *Concentrator {
	c := &Concentrator{cfg: cfg, ready: make(chan struct{}), controller: controller{
		name: "concentrator", role: policy.Concentrator, firstID: mptcppm.FirstConcentratorID,
		dir: cfg.StateDir, userSpace: cfg.UserSpace, recorder: cfg.Recorder, most: cfg.MostSubflows,
	}}
	c.init(log)
	return c
}

// Ready is closed once subflows may join.
func (c *Concentrator) Ready() <-chan struct{} { return c.ready }

// Run keeps limits and announced addresses in place, or steers, until ctx is
// done, then puts everything back.
func (c *Concentrator) Run(ctx context.Context) error {
	c.open()
	s := c.steer(c.addresses())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.watchOthers(ctx, s, coexist.WatchConfig{}) })
	if s == nil {
		g.Go(func() error { return c.serve(ctx) })
	} else {
		close(c.ready)
		g.Go(func() error { return s.engine.Run(ctx) })
		g.Go(func() error { return s.keeper.run(ctx) })
		g.Go(func() error {
			return suspend.Watch(ctx, func(asleep time.Duration) { s.engine.Woke(ctx, asleep) })
		})
	}
	return errors.Join(g.Wait(), c.close(s))
}

// serve lets the kernel's path manager do the work.
func (c *Concentrator) serve(ctx context.Context) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	c.announce(ctx)
	close(c.ready)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.announce(ctx)
		}
	}
}

func (c *Concentrator) addresses() []netip.Addr {
	addrs := slices.Clone(c.cfg.Announce)
	if c.cfg.AnnounceAuto {
		addrs = append(addrs, publicAddrs()...)
	}
	return addrs
}

func (c *Concentrator) announce(ctx context.Context) {
	addrs := c.addresses()
	if !slices.Equal(addrs, c.last) {
		c.log.Info("announcing addresses to clients", "addresses", fmt.Sprint(addrs))
		c.last = addrs
	}
	c.register(ctx, inkernel.Announcements(addrs), func(now mptcppm.Limits) mptcppm.Limits {
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
