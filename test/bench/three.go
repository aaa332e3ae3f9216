package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
)

const (
	threeTime     = 20 * time.Second
	threeRuns     = 2
	threeParallel = 2 // 32 Mbit/s each
)

// threeLinks are two good ones and a bad one.
func threeLinks() []netns.LinkConfig {
	of := func(name string, rate, delay int, loss float64) netns.LinkConfig {
		return netns.LinkConfig{Name: name, V4: true, Params: link.Params{
			Rate: int64(rate) * link.Mbit, Delay: time.Duration(delay) * time.Millisecond, Loss: loss,
		}}
	}
	return []netns.LinkConfig{of("dsl0", 20, 10, 0), of("lte0", 10, 25, 0), of("sat0", 2, 40, 0.05)}
}

// three compares all paths together with each subset of them.
func three(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %-16s %12s %10s   %s\n", "path manager", "mode", "direction", "paths", "goodput", "of best", "aim 95 % for all three; each run in Mbit/s")
	for _, upload := range []bool{false, true} {
		best := 0.0
		for _, s := range []setting{{"userspace", "aggregate"}, {"kernel", "aggregate"}} {
			for _, paths := range subsets(s.manager == "kernel") {
				if !opt.wanted(s.String(), direction(upload), strings.Join(paths, "+")) {
					continue
				}
				t := trial{setting: s, links: threeLinks(), bulk: measure.Bulk{Upload: upload, For: threeTime}}
				for _, p := range paths {
					t.clientArgs = append(t.clientArgs, "--path", p)
				}
				if err := t.three(ctx, opt, strings.Join(paths, "+"), &best); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// subsets of the three paths, all of them last; or only that.
func subsets(whole bool) [][]string {
	if whole {
		return [][]string{{"dsl0", "lte0", "sat0"}}
	}
	return [][]string{
		{"dsl0"}, {"lte0"}, {"sat0"}, {"dsl0", "sat0"}, {"lte0", "sat0"}, {"dsl0", "lte0"}, {"dsl0", "lte0", "sat0"},
	}
}

func (t trial) three(ctx context.Context, opt options, paths string, best *float64) error {
	opt.parallel = min(opt.parallel, threeParallel)
	runs, err := t.repeat(ctx, opt, threeRuns)
	if err != nil {
		return err
	}
	var rates []float64
	each, worst := "", 0
	for i, run := range runs {
		rates = append(rates, run.Arrivals.Goodput(0, threeTime))
		each += fmt.Sprintf(" %.2f", rates[i]/1e6)
		if rates[i] < rates[worst] {
			worst = i
		}
	}
	median := measure.NewDistribution(rates).Median()
	*best = max(*best, median)
	fmt.Printf("  %-12s %-10s %-9s %-16s %5.2f Mbit/s %9.1f%%  %s\n", t.manager, t.mode, direction(t.bulk.Upload), paths,
		median/1e6, 100*median / *best, each)
	opt.printDecisions(runs[worst].Begun, runs[worst].decisions)
	return nil
}
