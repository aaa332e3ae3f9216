package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	lossShare = 0.3
	lossAt    = 1 * time.Second
	lossFrom  = lossAt + 2*time.Second // from here on it counts
	lossEnd   = lossFrom + 10*time.Second
	lossRuns  = 3
)

// loss makes one path lose much in both directions, and prints what still
// arrives, against what the healthy path alone gives.
func loss(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %-14s %12s %14s %10s   %s\n", "path manager", "mode", "direction", "30% loss on",
		"goodput", "of healthy one", "silence", "all: goodput in Mbit/s / silence in ms, at s")
	for _, upload := range []bool{false, true} {
		alone, err := aloneGoodput(ctx, opt, upload)
		if err != nil {
			return err
		}
		fmt.Printf("  %-12s %-10s %-9s %-14s %5.2f Mbit/s\n", "-", "one path", direction(upload), "nothing", alone/1e6)
		for _, s := range bulkSettings {
			for i, on := range []string{"path in use", "other path"} {
				if !opt.wanted(s.String(), direction(upload), on) {
					continue
				}
				t := trial{setting: s, links: twoSlowLinks(), bulk: measure.Bulk{
					Upload: upload, For: lossEnd, Script: []measure.Step{{At: lossAt, Do: lose(i)}},
				}}
				if err := t.loss(ctx, opt, on, alone); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lose makes a link lose frames in both directions.
func lose(i int) func(*rig.Rig) error {
	return func(r *rig.Rig) error {
		l := r.Links[i]
		p := l.Params(netns.Upstream)
		p.Loss = lossShare
		if err := l.Set(netns.Upstream, p); err != nil {
			return err
		}
		return l.Set(netns.Downstream, p)
	}
}

// aloneGoodput is what one healthy path gives, in the same part of a flow.
func aloneGoodput(ctx context.Context, opt options, upload bool) (float64, error) {
	t := trial{setting: bulkSettings[0], links: twoSlowLinks()[1:], bulk: measure.Bulk{Upload: upload, For: lossEnd}}
	run, err := t.repeat(ctx, opt, 1)
	return run[0].Arrivals.Goodput(lossFrom, lossEnd), err
}

func (t trial) loss(ctx context.Context, opt options, on string, alone float64) error {
	runs, err := t.repeat(ctx, opt, lossRuns)
	if err != nil {
		return err
	}
	var rates, gaps []float64
	var each strings.Builder
	worst := 0
	for i, run := range runs {
		gap, since := run.Arrivals.Silence(lossFrom, lossEnd)
		rates = append(rates, run.Arrivals.Goodput(lossFrom, lossEnd))
		gaps = append(gaps, measure.Millis(gap))
		fmt.Fprintf(&each, "  %.2f / %.0f, %.1f", rates[i]/1e6, gaps[i], since.Seconds())
		if rates[i] < rates[worst] {
			worst = i
		}
	}
	median := measure.NewDistribution(rates).Median()
	fmt.Printf("  %-12s %-10s %-9s %-14s %5.2f Mbit/s %13.0f%% %7.0f ms %s\n", t.manager, t.mode, direction(t.bulk.Upload), on,
		median/1e6, 100*median/alone, measure.NewDistribution(gaps).Max(), each.String())
	opt.printDecisions(runs[worst].Begun, runs[worst].decisions)
	return nil
}
