package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
)

// The kernel's own acceptance test for using two links at once
// (tools/testing/selftests/net/mptcp/simult_flows.sh), through the whole proxy.
var simultExperiment = experiment{
	name: "simult", title: "simult_flows: five shapes, 16 MiB each way, against the limit of time of the kernel's test",
	takes: 8 * time.Minute, run: simult,
}

const (
	simultRuns  = 10
	simultWidth = 3
	simultSize  = 16 << 20
	// simultSlack and simultJoin are what the kernel's test adds to its limit: 50 ms,
	// and 400 ms in which its program waits for the join before it sends. Its clock
	// starts when the connection is there; ours when the application asks for one, so
	// that three further round trips (TLS, request, HTTP) count.
	simultSlack = 50 * time.Millisecond
	simultJoin  = 400 * time.Millisecond
)

// shape is a pair of links: Mbit/s and ms one way.
type shape struct{ rate1, rate2, delay1, delay2 int }

var shapes = []shape{{10, 10, 0, 0}, {10, 10, 1, 50}, {30, 10, 0, 0}, {30, 10, 1, 50}, {30, 10, 50, 1}}

func (s shape) String() string {
	return fmt.Sprintf("%d+%d Mbit/s, %d/%d ms", s.rate1, s.rate2, s.delay1, s.delay2)
}

// links have netem's default queue of 1000 packets.
func (s shape) links(seed uint64) []netns.LinkConfig {
	one := func(name string, rate, delay int, seed uint64) netns.LinkConfig {
		return netns.LinkConfig{Name: name, V4: true, Seed: seed, Params: link.Params{
			Rate: int64(rate) * link.Mbit, Delay: time.Duration(delay) * time.Millisecond, Queue: 1000 * 1514,
		}}
	}
	return []netns.LinkConfig{one("dsl0", s.rate1, s.delay1, seed), one("lte0", s.rate2, s.delay2, seed+1000)}
}

// limit is the time that the kernel's test allows: that of the bytes at 90 % of
// the sum of the rates, and some slack. strict leaves out what it grants for the
// join.
func (s shape) limit() time.Duration { return s.strict() + simultJoin }

func (s shape) strict() time.Duration { return simultBytes(s) + simultSlack }

func simultBytes(s shape) time.Duration {
	return time.Duration(float64(simultSize) * 8 / (float64(s.rate1+s.rate2) * 1e6 * 0.9) * float64(time.Second))
}

// share is the goodput of a transfer as a share of the sum of both rates.
func (s shape) share(took time.Duration) float64 {
	return simultSize * 8 / took.Seconds() / (float64(s.rate1+s.rate2) * 1e6)
}

var directions = []string{"download", "upload"}

func simult(ctx context.Context, l *lab) (result, error) {
	arms := []arm{stockFullMesh, ours("aggregate")}
	var cases tally[time.Duration]
	var jobs []job
	for n := range l.count(simultRuns) {
		for _, s := range shapes {
			for _, a := range arms {
				if !l.wants(a.label + " " + s.String()) {
					continue
				}
				jobs = append(jobs, func(ctx context.Context) error {
					if err := simultRun(ctx, l, a, s, uint64(n), &cases); err != nil {
						return fmt.Errorf("%s, %v: %w", a.label, s, err)
					}
					return nil
				})
			}
		}
	}
	if err := l.batch(ctx, simultWidth, jobs); err != nil {
		return result{}, err
	}
	return simultResult(arms, &cases), nil
}

func simultCase(a arm, s shape, direction string) string {
	return fmt.Sprintf("%s, %v, %s", a.label, s, direction)
}

func simultRun(ctx context.Context, l *lab, a arm, s shape, seed uint64, cases *tally[time.Duration]) error {
	r, err := l.rig(ctx, a.config(s.links(seed)...))
	if err != nil {
		return err
	}
	defer r.Close()
	client, err := measure.HTTPClient(r, a.mode)
	if err != nil {
		return err
	}
	for _, direction := range directions {
		var took time.Duration
		if direction == "download" {
			took, err = measure.Download(ctx, client, netns.DestinationName, simultSize, true)
		} else {
			took, err = measure.Upload(ctx, client, netns.DestinationName, simultSize)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", direction, err)
		}
		cases.add(simultCase(a, s, direction), took)
	}
	return nil
}

func simultResult(arms []arm, cases *tally[time.Duration]) result {
	samples := publish.Sheet{Header: []string{"case", "shape", "direction", "run", "seconds", "share_of_sum", "limit_s", "strict_limit_s"}}
	fig := publish.Figure{
		Title: "simult_flows through the proxy, all shapes, both directions", X: "transfer time / the kernel's limit", Y: "CDF",
		XMin: 0.8, XMax: 1.4, YMin: 0, YMax: 1,
	}
	var res result
	var relative [2][]float64
	for _, s := range shapes {
		for _, direction := range directions {
			var share [2]measure.Distribution
			for k, a := range arms {
				var all []float64
				for n, took := range cases.of(simultCase(a, s, direction)) {
					samples.Add(a.label, s, direction, n, took.Seconds(), s.share(took), s.limit().Seconds(), s.strict().Seconds())
					all = append(all, 100*s.share(took))
					relative[k] = append(relative[k], took.Seconds()/s.limit().Seconds())
				}
				share[k] = measure.NewDistribution(all)
			}
			n := share[1].Len()
			res.rows = append(res.rows, publish.Row{Quantity: fmt.Sprintf("%v, %s: share of the sum", s, direction), Unit: "%", Stock: share[0].Median(), Ours: share[1].Median(), Runs: n})
			for _, limit := range []struct {
				name string
				d    time.Duration
			}{{"the kernel's limit", s.limit()}, {"the limit without its 400 ms for the join", s.strict()}} {
				within := shareWithin(cases.of(simultCase(arms[1], s, direction)), limit.d)
				res.rows = append(res.rows, publish.Row{
					Quantity: fmt.Sprintf("%v, %s: runs within %s", s, direction, limit.name), Unit: "%",
					Stock: 100 * shareWithin(cases.of(simultCase(arms[0], s, direction)), limit.d), Ours: 100 * within, Aim: "100", Met: within == 1, Runs: n,
				})
			}
		}
	}
	for k, a := range arms {
		fig.Curves = append(fig.Curves, publish.CdfCurve(a.label, measure.NewDistribution(relative[k]), publish.Palettes[k][k], k == 0))
	}
	fig.Curves = append(fig.Curves, publish.Vertical("limit", 1))
	res.figures, res.samples = []publish.Figure{fig}, []publish.Sheet{samples}
	return res
}

func shareWithin(all []time.Duration, limit time.Duration) float64 {
	n := 0
	for _, d := range all {
		if d <= limit {
			n++
		}
	}
	return float64(n) / float64(len(all))
}
