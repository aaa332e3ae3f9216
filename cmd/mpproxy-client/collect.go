package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"mpproxy/config"
	"mpproxy/internal/buildinfo"
	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl"
	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/proxy"
)

// collector assembles a status from the parts of the program.
type collector struct {
	conf       config.Client
	started    time.Time
	controller *pathctl.Client
	upstream   *proxy.Upstream
	front      *proxy.Front
}

func newCollector(conf config.Client, c *pathctl.Client, u *proxy.Upstream, f *proxy.Front) *collector {
	return &collector{conf: conf, started: time.Now(), controller: c, upstream: u, front: f}
}

func (c *collector) status(ctx context.Context) (status.Status, error) {
	paths := c.controller.Paths()
	counters, err := c.controller.Counters(ctx)
	if err != nil {
		return status.Status{}, err
	}
	table := c.front.Table()
	s := status.Status{
		Version: buildinfo.Version(), Started: c.started, Taken: time.Now(),
		Mode: c.conf.Mode, Server: c.server(),
		Paths: []status.Path{}, Connections: []status.Connection{}, Missing: []status.Missing{},
		Totals: status.Totals{
			Connections: table.Totals.Opened.Load(), Live: table.Len(),
			Refused: table.Totals.Refused.Load(), Failed: table.Totals.Failed.Load(),
			FellBack: table.Totals.FellBack.Load(), AuthFailures: table.Totals.AuthFailures.Load(),
		},
	}
	for _, l := range c.conf.Socks.Listen {
		s.Socks = append(s.Socks, l.String())
	}
	kernel := c.controller.Kernel()
	routed, whyNot := c.controller.SourceRouting()
	s.PathManager = status.PathManager{
		Backend: backend(kernel), Timeouts: kernel.Timeouts, Endpoints: kernel.Endpoints,
		Active: kernel.Active, SourceRouting: routed,
	}
	names := make(map[netip.Addr]string)
	for _, p := range paths {
		s.Paths = append(s.Paths, pathStatus(p, counters[p.Name]))
		for _, a := range p.Addrs {
			names[a.Addr] = p.Name
		}
	}
	steered := c.controller.Connections(ctx)
	for _, conn := range table.Connections() {
		s.Connections = append(s.Connections, connectionStatus(conn, names, steered))
	}
	s.Missing = append(s.Missing, missing(paths, kernel, whyNot, mptcpsock.ProbeMPTCP(), s.Server.PlainTCP)...)
	s.Missing = append(s.Missing, missingForRules(c.conf, paths, kernel)...)
	s.Notices = notices(c.controller.Notices())
	return s, nil
}

// notices is never nil: programs that read the status get a list.
func notices(found []coexist.Notice) []status.Notice {
	out := []status.Notice{}
	for _, n := range found {
		out = append(out, status.Notice{Kind: string(n.Kind), What: n.What, Effect: n.Effect, Advice: n.Advice})
	}
	return out
}

func (c *collector) server() status.Server {
	h := c.upstream.Health()
	link := c.conf.Link
	return status.Server{
		Address: link.HostPort(), Name: link.Name, User: link.User, Security: string(link.Security),
		State: string(h.State), Since: h.Since, LastOK: h.LastOK, Error: h.Error, Advice: h.Advice,
		PlainTCP: h.PlainAt,
	}
}

func pathStatus(p netpath.Path, n netpath.Counters) status.Path {
	out := status.Path{
		Name: p.Name, Interface: p.Interface, Rank: p.Rank, Metered: p.Metered,
		State: p.State.String(), Reason: p.Reason, Warning: p.Warning,
		ReceivedBytes: n.RxBytes, SentBytes: n.TxBytes, Addresses: []string{},
	}
	for _, a := range p.Addrs {
		out.Addresses = append(out.Addresses, a.Addr.String())
	}
	return out
}

// backend says who makes subflows now, which may not be who is configured to.
func backend(k pathctl.KernelStatus) string {
	if k.UserSpace {
		return string(config.PathManagerUserSpace)
	}
	return string(config.PathManagerKernel)
}

func connectionStatus(c *proxy.Connection, names map[netip.Addr]string, steered map[uapi.Token]pathctl.ConnectionStatus) status.Connection {
	out := status.Connection{
		ID: c.ID, Destination: c.Destination.String(), User: c.User, Mode: c.Mode, Rule: c.Rule, Opened: c.Opened,
		Protocol: "mptcp", SentBytes: c.Counters.AToB.Load(), ReceivedBytes: c.Counters.BToA.Load(),
		Subflows: []status.Subflow{},
	}
	if why, err := c.Leg.Fallback(); err == nil && why != mptcpsock.FallbackNone {
		out.Protocol, out.FellBack = "tcp", why.String()
	}
	var steering pathctl.ConnectionStatus
	if token, err := c.Leg.Token(); err == nil {
		out.Token = token.String()
		steering = steered[token]
		out.Decision = steering.Last
	}
	subflows, err := c.Leg.Subflows()
	if err != nil {
		return out // it closed between the list and here
	}
	for _, f := range subflows {
		if f.TCP.State.Closing() && out.Protocol == "mptcp" {
			continue // its path went, and the kernel has not given up on the goodbye
		}
		name := names[f.Local.Addr()]
		if name == "" {
			name = "?" // the path has another address by now
		}
		out.Subflows = append(out.Subflows, status.Subflow{
			Path: name, Local: f.Local, Remote: f.Remote,
			RTTMillis: float64(f.TCP.RTT) / float64(time.Millisecond),
			SentBytes: f.TCP.BytesSent, ReceivedBytes: f.TCP.BytesReceived, Retransmitted: f.TCP.BytesRetrans,
			RTOMillis: float64(f.TCP.RTO) / float64(time.Millisecond), Backup: steering.IsBackup(f.Local, f.Remote),
		})
	}
	return out
}

// missing says what this host lacks and what to do about it.
func missing(paths []netpath.Path, kernel pathctl.KernelStatus, noRouting, noMPTCP error, plain string) []status.Missing {
	var out []status.Missing
	up := 0
	for _, p := range paths {
		if p.State == netpath.Up {
			up++
		}
	}
	if noMPTCP != nil {
		advice := "use a kernel with MPTCP (Linux 6.1 or later, CONFIG_MPTCP)"
		if errors.Is(noMPTCP, mptcpsock.ErrDisabled) {
			advice = "switch it on: sysctl -w net.mptcp.enabled=1"
		}
		out = append(out, status.Missing{What: "MPTCP", Effect: "each connection uses one path only", Advice: advice})
	} else if plain != "" {
		out = append(out, status.Missing{
			What: "MPTCP to the server", Effect: "connections came up as plain TCP on " + plain,
			Advice: "see that MPTCP is on at the server (sysctl net.mptcp.enabled); otherwise a middlebox on this path strips it: try another path",
		})
	}
	switch {
	case kernel.Problem == nil:
	case errors.Is(kernel.Problem, mptcppm.ErrPermission):
		out = append(out, status.Missing{
			What: "CAP_NET_ADMIN", Effect: "second subflows cannot be registered (" + kernel.Problem.Error() + ")",
			Advice: "run as root, with AmbientCapabilities=CAP_NET_ADMIN under systemd, or after: setcap cap_net_admin+ep mpproxy-client",
		})
	default:
		out = append(out, status.Missing{
			What: "subflow management", Effect: "not all paths get subflows (" + kernel.Problem.Error() + ")",
			Advice: "see the log for when this began",
		})
	}
	if kernel.NoEBPF != nil {
		out = append(out, status.Missing{
			What: "eBPF", Effect: "timeouts are noticed later, by reading the sockets (" + kernel.NoEBPF.Error() + ")",
			Advice: "run as root, or give the program CAP_BPF and CAP_PERFMON: setcap cap_net_admin,cap_bpf,cap_perfmon+ep mpproxy-client",
		})
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
