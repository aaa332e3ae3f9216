package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"mpproxy/config"
	"mpproxy/internal/buildinfo"
	"mpproxy/internal/collect"
	"mpproxy/internal/metrics"
	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/netpath/rtnl"
	"mpproxy/proxy/front"
	"mpproxy/proxy/leg"
)

// collector assembles status and metrics from the parts of the program.
type collector struct {
	conf       config.Client
	started    time.Time
	controller *pathctl.Client
	session    *leg.Session
	front      *front.Front
}

func newCollector(conf config.Client, c *pathctl.Client, s *leg.Session, f *front.Front) *collector {
	return &collector{conf: conf, started: time.Now(), controller: c, session: s, front: f}
}

// Status is what status shows.
func (c *collector) Status(ctx context.Context) (status.Status, error) {
	paths := c.controller.Paths()
	counters, err := c.controller.Counters(ctx)
	if err != nil {
		return status.Status{}, err
	}
	table := c.front.Table()
	kernel := c.controller.Kernel()
	s := status.Status{
		Program: status.Client, Version: buildinfo.Version(), Started: c.started, Taken: time.Now(),
		Mode: c.conf.Mode, Server: c.server(),
		PathManager: collect.PathManager(kernel), Totals: collect.Totals(table),
		Paths: []status.Path{}, Missing: []status.Missing{},
		Connections: collect.Connections(table, pathNames(paths), c.controller.Connections(ctx)),
	}
	for _, l := range c.conf.Socks.Listen {
		s.Socks = append(s.Socks, l.String())
	}
	for _, p := range paths {
		ps := pathStatus(p, counters[p.Name])
		collect.Believed(&ps, c.controller.PathState(p.Name), c.controller.LegState(p.Name), s.Taken)
		ps.SignalDBm, _ = c.controller.Signal(p)
		s.Paths = append(s.Paths, ps)
	}
	routed, whyNot := c.controller.SourceRouting()
	s.PathManager.SourceRouting = routed
	host := collect.Host{
		Program: status.Client, NoMPTCP: mptcpsock.ProbeMPTCP(),
		Kernel: kernel, Steer: c.conf.PathManager == config.PathManagerUserSpace,
	}
	s.Missing = append(s.Missing, collect.Missing(host)...)
	s.Missing = append(s.Missing, missing(paths, whyNot, host.NoMPTCP == nil, s.Server.PlainTCP)...)
	s.Missing = append(s.Missing, missingForRules(c.conf, paths)...)
	s.Notices = collect.Notices(c.controller.Notices())
	s.Changed = collect.Changed(c.controller.Changes())
	if routed {
		const each = "one for each address of a path"
		s.Changed = append(s.Changed, status.Change{What: "routing rules and tables 27000 to 27255", Set: each, Now: each})
	}
	return s, nil
}

// pathNames names subflows' paths by their local address, which several paths may
// have.
func pathNames(paths []netpath.Path) collect.PathOf {
	return func(local, _ netip.AddrPort) string {
		var names []string
		for _, p := range paths {
			if p.Has(local.Addr()) {
				names = append(names, p.Name)
			}
		}
		if len(names) == 0 {
			return "?" // the path has another address by now
		}
		return strings.Join(names, " or ")
	}
}

// Metrics is what a scrape shows.
func (c *collector) Metrics(ctx context.Context) (metrics.Snapshot, error) {
	paths := c.controller.Paths()
	counters, err := c.controller.Counters(ctx)
	if err != nil {
		return metrics.Snapshot{}, err
	}
	s, states := collect.Metrics(ctx, c.front.Table(), c.controller, pathNames(paths))
	now := time.Now()
	for _, p := range paths {
		n, believed := counters[p.Name], states[p.Name]
		s.Paths = append(s.Paths, metrics.Path{
			Name: p.Name, Up: p.State == netpath.Up, Troubled: believed.Avoid(now), RTT: believed.RTT.Smoothed,
			ReceivedBytes: n.RxBytes, SentBytes: n.TxBytes,
		})
	}
	ok := c.session.Health().State == leg.ServerOK
	s.Concentrator = &ok
	return s, nil
}

// Health is good when a path is up and the concentrator does not refuse us.
func (c *collector) Health(context.Context) error {
	up := 0
	for _, p := range c.controller.Paths() {
		if p.State == netpath.Up {
			up++
		}
	}
	if up == 0 {
		return errors.New("no path is up")
	}
	if h := c.session.Health(); h.State != leg.ServerOK && h.State != leg.ServerUnknown {
		return fmt.Errorf("the concentrator: %s", h.State)
	}
	return nil
}

func (c *collector) server() status.Server {
	h := c.session.Health()
	link := c.conf.Link
	return status.Server{
		Address: link.HostPort(), Name: link.Name, User: link.User, Security: string(link.Security),
		State: string(h.State), Since: h.Since, LastOK: h.LastOK, Error: h.Error, Advice: h.Advice,
		PlainTCP: h.PlainAt,
	}
}

func pathStatus(p netpath.Path, n rtnl.Counters) status.Path {
	out := status.Path{
		Name: p.Name, Interface: p.Interface, Rank: p.Rank, Metered: p.Metered, Weak: p.Weak,
		State: p.State.String(), Reason: p.Reason, Warning: p.Warning,
		ReceivedBytes: n.RxBytes, SentBytes: n.TxBytes, Addresses: []string{},
	}
	for _, a := range p.Addrs {
		out.Addresses = append(out.Addresses, a.Addr.String())
	}
	return out
}

// missing says what this host lacks as a client.
func missing(paths []netpath.Path, noRouting error, hasMPTCP bool, plain string) []status.Missing {
	var out []status.Missing
	if hasMPTCP && plain != "" {
		out = append(out, status.Missing{
			What: "MPTCP to the server", Effect: "connections came up as plain TCP on " + plain,
			Advice: "see that MPTCP is on at the server (sysctl net.mptcp.enabled); otherwise a middlebox on this path strips it: try another path",
		})
	}
	up := 0
	for _, p := range paths {
		if p.State == netpath.Up {
			up++
		}
	}
	if noRouting != nil && up > 1 {
		out = append(out, status.Missing{
			What: "source routing", Effect: "subflows of the second path may leave over the first (" + noRouting.Error() + ")",
			Advice: "give the program CAP_NET_ADMIN, as above, or set up one routing table for each address yourself",
		})
	}
	switch up {
	case 0:
		out = append(out, status.Missing{What: "a path", Effect: "nothing can be reached", Advice: "bring an interface up that has an address and a default route"})
	case 1:
		out = append(out, status.Missing{What: "a second path", Effect: "there is nothing to bond or to fall back to", Advice: "connect a second way to the Internet, or see with --path what keeps it from being used"})
	}
	return out
}
