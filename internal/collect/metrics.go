package collect

import (
	"cmp"
	"context"
	"slices"

	"mpproxy/internal/metrics"
	"mpproxy/pathctl"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy/serve"
)

// Controller is what the controllers of both ends have in common.
type Controller interface {
	Snapshot(context.Context) (engine.Snapshot, bool)
	Kernel() pathctl.KernelStatus
}

// Bounds returns the values that labels may have where these modes are
// configured.
func Bounds(modes []policy.Spec) metrics.Bounds {
	var b metrics.Bounds
	for _, m := range modes {
		b.Modes = append(b.Modes, m.Name)
	}
	for _, a := range engine.Actions() {
		b.Actions = append(b.Actions, string(a))
	}
	for _, r := range engine.Reasons() {
		b.Reasons = append(b.Reasons, string(r))
	}
	return b
}

// Metrics returns what there is to count of a table and a controller; paths are
// the caller's to add. Subflows are those that the controller knows; where the
// kernel steers, the sockets are read, and paths named by pathOf.
func Metrics(ctx context.Context, t *serve.Table, c Controller, pathOf PathOf) (metrics.Snapshot, map[string]pathstate.State) {
	traffic := t.Traffic()
	s := metrics.Snapshot{
		SentBytes: traffic.AToB, ReceivedBytes: traffic.BToA,
		Refused: t.Totals.Refused.Load(), Failed: t.Totals.Failed.Load(),
		FellBack: t.Totals.FellBack.Load(), Reused: t.Totals.Reused.Load(),
		AnsweredEarly: t.Totals.AnsweredEarly.Load(), AnsweredWrongly: t.Totals.AnsweredWrongly.Load(),
		AuthFailures: t.Totals.AuthFailures.Load(),
	}
	for mode, n := range traffic.Modes {
		s.Modes = append(s.Modes, metrics.Connections{Mode: mode, Live: n.Live, Opened: n.Opened})
	}
	slices.SortFunc(s.Modes, func(a, b metrics.Connections) int { return cmp.Compare(a.Mode, b.Mode) })
	seen, steers := c.Snapshot(ctx)
	if !steers {
		s.Subflows = subflows(countSubflows(t, pathOf))
		return s, nil
	}
	s.Steering, s.EBPF = true, c.Kernel().NoEBPF == nil
	s.LostEvents, s.Looks, s.LookTime = seen.LostEvents, seen.Looks, seen.LookTime
	s.Subflows = subflows(seen.Subflows)
	for kind, n := range seen.Decisions {
		s.Decisions = append(s.Decisions, metrics.Decisions{Mode: kind.Mode, Action: string(kind.Action), Reason: string(kind.Reason), N: n})
	}
	return s, seen.Paths
}

func subflows(counts map[engine.SubflowKind]int) (all []metrics.Subflows) {
	for kind, n := range counts {
		all = append(all, metrics.Subflows{Path: kind.Path, Backup: kind.Backup, N: n})
	}
	slices.SortFunc(all, func(a, b metrics.Subflows) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// countSubflows reads the sockets. Which subflows are backups they do not say.
func countSubflows(t *serve.Table, pathOf PathOf) map[engine.SubflowKind]int {
	counts := make(map[engine.SubflowKind]int)
	for _, c := range t.Connections() {
		if multipath, err := c.Leg.IsMultipath(); err != nil || !multipath {
			continue
		}
		for _, f := range established(c, "mptcp") {
			counts[engine.SubflowKind{Path: pathOf(f.Local, f.Remote)}]++
		}
	}
	return counts
}
