// Package collect assembles what status and metrics show of a running program
// from its parts: the data path's table of connections, their sockets, and the
// controller.
//
//	s.Connections = collect.Connections(table, nameOf, controller.Connections(ctx))
//	s.Missing = collect.Missing(collect.Host{…})
//	m := collect.Metrics(ctx, table, nameOf, controller)
//
// It holds what client and concentrator have in common, reads, and changes
// nothing.
package collect

import (
	"cmp"
	"net/netip"
	"time"

	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/proxy/serve"
)

// PathOf names the path of a subflow.
type PathOf func(local, remote netip.AddrPort) string

// Totals returns what a table has counted.
func Totals(t *serve.Table) status.Totals {
	return status.Totals{
		Connections: t.Totals.Opened.Load(), Live: t.Len(),
		Refused: t.Totals.Refused.Load(), Failed: t.Totals.Failed.Load(), Reused: t.Totals.Reused.Load(),
		AnsweredWrongly: t.Totals.AnsweredWrongly.Load(),
		FellBack:        t.Totals.FellBack.Load(), AuthFailures: t.Totals.AuthFailures.Load(),
	}
}

// Connections returns the live connections, oldest first.
func Connections(t *serve.Table, pathOf PathOf, steered map[uapi.Token]engine.ConnectionStatus) []status.Connection {
	all := []status.Connection{}
	for _, c := range t.Connections() {
		all = append(all, connection(c, pathOf, steered))
	}
	return all
}

func connection(c *serve.Connection, pathOf PathOf, steered map[uapi.Token]engine.ConnectionStatus) status.Connection {
	out := status.Connection{
		ID: c.ID, Destination: c.Destination.String(), User: c.User, Peer: c.Peer.String(), Mode: c.Mode, Rule: c.Rule, Opened: c.Opened,
		Protocol: "mptcp", SentBytes: c.Counters.AToB.Load(), ReceivedBytes: c.Counters.BToA.Load(),
		Subflows: []status.Subflow{},
	}
	if why, err := c.Leg.Fallback(); err == nil && why != mptcpsock.FallbackNone {
		out.Protocol, out.FellBack = "tcp", why.String()
	}
	var steering engine.ConnectionStatus
	if token, err := c.Leg.Token(); err == nil {
		out.Token = token.String()
		steering = steered[token]
		out.Decision = steering.Last
	}
	for _, f := range established(c, out.Protocol) {
		out.Subflows = append(out.Subflows, status.Subflow{
			Path: cmp.Or(steering.PathOf(f.Local, f.Remote), pathOf(f.Local, f.Remote)), Local: f.Local, Remote: f.Remote,
			RTTMillis: millis(f.TCP.RTT), RTOMillis: millis(f.TCP.RTO),
			SentBytes: f.TCP.BytesSent, ReceivedBytes: f.TCP.BytesReceived, Retransmitted: f.TCP.BytesRetrans,
			Backup: steering.IsBackup(f.Local, f.Remote),
		})
	}
	return out
}

// established reads a connection's subflows; none when it closed meanwhile.
func established(c *serve.Connection, protocol string) []mptcpsock.Subflow {
	subflows, err := c.Leg.Subflows()
	if err != nil {
		return nil
	}
	kept := subflows[:0]
	for _, f := range subflows {
		if f.TCP.State.Closing() && protocol == "mptcp" {
			continue // its path went, and the kernel has not given up on the goodbye
		}
		kept = append(kept, f)
	}
	return kept
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
