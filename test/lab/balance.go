package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// SMAPP section 4.4: two routers spread flows over four paths by a hash of
// addresses and ports; a connection with five subflows cannot know which of them
// share a path.
var balanceExperiment = experiment{
	name: "balance", title: "§4.4 flow-based load balancing: 100 MiB over four paths of 8 Mbit/s and 10, 20, 30, 40 ms",
	takes: 4 * time.Minute, run: balance,
}

const (
	balanceRuns  = 15
	balanceWidth = 6
	balanceSize  = 100 << 20
	balanceFlows = 5
	// payloadShare is what a link's rate leaves for data: 1428 bytes of payload
	// in a frame of 1514, with IPv4, timestamps and DSS.
	payloadShare = 0.943
)

// The paper's bounds, which are also those of four and of one of these links.
var (
	onePath   = balanceSize * 8 / (8e6 * payloadShare)
	fourPaths = onePath / 4
)

// balanced is what one run came to.
type balanced struct {
	seconds float64
	used    int // paths that carried a tenth of an equal share or more
}

// branches are the four paths.
func branches() []link.Params {
	var all []link.Params
	for _, ms := range []int{10, 20, 30, 40} {
		all = append(all, link.Params{Rate: 8 * link.Mbit, Delay: time.Duration(ms) * time.Millisecond, Queue: 100_000})
	}
	return all
}

func balance(ctx context.Context, l *lab) (result, error) {
	arms := []arm{
		{label: "stock ndiffports", manager: "kernel", mode: "aggregate"},
		ours("refresh"),
	}
	var cases tally[balanced]
	var jobs []job
	for n := range l.count(balanceRuns) {
		for _, a := range arms {
			if !l.wants(a.label) {
				continue
			}
			jobs = append(jobs, func(ctx context.Context) error {
				b, err := balanceRun(ctx, l, a, uint64(n))
				if err != nil {
					return fmt.Errorf("%s: %w", a.label, err)
				}
				cases.add(a.label, b)
				return nil
			})
		}
	}
	if err := l.batch(ctx, balanceWidth, jobs); err != nil {
		return result{}, err
	}
	return balanceResult(arms, &cases), nil
}

func balanceRun(ctx context.Context, l *lab, a arm, seed uint64) (b balanced, err error) {
	config := a.config(netns.LinkConfig{Name: "eth0", Branches: branches(), V4: true, Seed: seed})
	if a.manager == "kernel" {
		config.Prepare = kernelNdiffports
	}
	r, err := l.rig(ctx, config)
	if err != nil {
		return b, err
	}
	defer r.Close()
	client, err := measure.HTTPClient(r, a.mode)
	if err != nil {
		return b, err
	}
	took, err := measure.Upload(ctx, client, netns.DestinationName, balanceSize)
	if err != nil {
		return b, err
	}
	for _, n := range r.Links[0].BranchBytes(netns.Upstream) {
		if n >= balanceSize/4/10 {
			b.used++
		}
	}
	b.seconds = took.Seconds()
	return b, nil
}

// kernelNdiffports makes the kernel's path manager open five subflows over one
// path, which the first Linux implementation called ndiffports: the
// concentrator announces its address with four more ports, and the client
// accepts them.
func kernelNdiffports(ctx context.Context, t *netns.Topology) error {
	limits := mptcppm.Limits{Subflows: balanceFlows - 1, AddAddrAccepted: balanceFlows - 1}
	err := withPathManager(ctx, t.Concentrator, func(c *mptcppm.Client) error {
		for i := range balanceFlows - 1 {
			e := mptcppm.Endpoint{Addr: t.Concentrator4, Port: uint16(rig.Port + 1 + i), Flags: mptcppm.FlagSignal}
			if err := c.AddEndpoint(ctx, e); err != nil {
				return err
			}
		}
		return c.SetLimits(ctx, limits)
	})
	return errors.Join(err, withPathManager(ctx, t.Client, func(c *mptcppm.Client) error { return c.SetLimits(ctx, limits) }))
}

// withPathManager calls f with a client of a host's in-kernel path manager.
func withPathManager(ctx context.Context, h *netns.Host, f func(*mptcppm.Client) error) error {
	return h.Do(ctx, func() error {
		c, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		return errors.Join(f(c), c.Close())
	})
}

func balanceResult(arms []arm, cases *tally[balanced]) result {
	samples := publish.Sheet{Header: []string{"case", "run", "seconds", "paths_used"}}
	fig := publish.Figure{
		Title: "SMAPP §4.4, Fig. 2c: 100 MiB, 5 subflows, 4 paths of 8 Mbit/s", X: "transfer time (s)", Y: "CDF",
		XMin: 20, XMax: 120, YMin: 0, YMax: 1,
	}
	var res result
	var times [2]measure.Distribution
	var used [2]float64
	for k, a := range arms {
		var seconds []float64
		for n, b := range cases.of(a.label) {
			samples.Add(a.label, n, b.seconds, b.used)
			seconds = append(seconds, b.seconds)
			used[k] += float64(b.used)
		}
		times[k] = measure.NewDistribution(seconds)
		used[k] /= float64(len(seconds))
		fig.Curves = append(fig.Curves, publish.CdfCurve(a.label, times[k], publish.Palettes[k][k], k == 0))
	}
	fig.Curves = append(fig.Curves,
		publish.Vertical(fmt.Sprintf("four paths, %.1f s", fourPaths), fourPaths),
		publish.Vertical(fmt.Sprintf("one path, %.1f s", onePath), onePath))
	stock, ours := times[0], times[1]
	res.rows = []publish.Row{
		{Quantity: "median transfer time", Unit: "s", Stock: stock.Median(), Ours: ours.Median()},
		{Quantity: "runs within 31 s", Unit: "%", Stock: 100 * stock.ShareAtMost(31), Ours: 100 * ours.ShareAtMost(31), Aim: "≥ 90", Met: ours.ShareAtMost(31) >= 0.9},
		{Quantity: "slowest run", Unit: "s", Stock: stock.Max(), Ours: ours.Max(), Aim: "≤ 36", Met: ours.Max() <= 36},
		{Quantity: "fastest run", Unit: "s", Stock: stock.Min(), Ours: ours.Min()},
		{Quantity: "paths used in a run, mean", Stock: used[0], Ours: used[1]},
	}
	for i := range res.rows {
		res.rows[i].Runs = ours.Len()
	}
	res.figures, res.samples = []publish.Figure{fig}, []publish.Sheet{samples}
	return res
}
