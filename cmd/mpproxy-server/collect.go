package main

import (
	"context"
	"net/netip"
	"time"

	"mpproxy/config"
	"mpproxy/internal/buildinfo"
	"mpproxy/internal/collect"
	"mpproxy/internal/metrics"
	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl"
	"mpproxy/proxy/egress"
)

// collector assembles status and metrics from the parts of the program.
type collector struct {
	conf         config.Server
	started      time.Time
	controller   *pathctl.Concentrator
	concentrator *egress.Concentrator
}

// Status is what status shows.
func (c *collector) Status(ctx context.Context) (status.Status, error) {
	table := c.concentrator.Table()
	kernel := c.controller.Kernel()
	s := status.Status{
		Program: status.Concentrator, Version: buildinfo.Version(), Started: c.started, Taken: time.Now(),
		Mode: c.conf.Mode, Security: string(c.conf.Security),
		PathManager: collect.PathManager(kernel), Totals: collect.Totals(table),
		Paths: []status.Path{}, Notices: collect.Notices(c.controller.Notices()), Changed: collect.Changed(c.controller.Changes()), Connections: collect.Connections(table, clientAddr, c.controller.Connections(ctx)),
		Missing: collect.Missing(collect.Host{
			Program: status.Concentrator, NoMPTCP: mptcpsock.ProbeMPTCP(),
			Kernel: kernel, Steer: c.conf.PathManager == config.PathManagerUserSpace,
		}),
	}
	for _, l := range c.conf.Listen {
		s.Listen = append(s.Listen, l.String())
	}
	return s, nil
}

// clientAddr names a subflow's path by the client's address, as the controller
// does.
func clientAddr(_, remote netip.AddrPort) string { return remote.Addr().Unmap().String() }

// Metrics is what a scrape shows.
func (c *collector) Metrics(ctx context.Context) (metrics.Snapshot, error) {
	noName := func(_, _ netip.AddrPort) string { return "" } // clients' addresses are no labels
	s, _ := collect.Metrics(ctx, c.concentrator.Table(), c.controller, noName)
	return s, nil
}

// Health is good as long as the program runs: its clients' paths say nothing
// about it.
func (c *collector) Health(context.Context) error { return nil }
