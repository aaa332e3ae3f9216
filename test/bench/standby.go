package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/test/netns/measure"
)

const (
	standbyTime = time.Minute
	standbyRuns = 3
)

// standby counts what a metered standby carries while nothing happens.
func standby(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %s\n", "path manager", "mode", "direction", "frames on the standby in each run; aim: none with mpproxy, handover")
	for _, s := range bulkSettings {
		for _, upload := range []bool{false, true} {
			if !opt.wanted(s.String(), direction(upload)) {
				continue
			}
			t := trial{
				setting: s, links: twoSlowLinks(), clientArgs: []string{"--path", "dsl0", "--path", "lte0:metered"},
				bulk: measure.Bulk{Upload: upload, For: standbyTime},
			}
			runs, err := t.repeat(ctx, opt, standbyRuns)
			if err != nil {
				return err
			}
			fmt.Printf("  %-12s %-10s %-9s", s.manager, s.mode, direction(upload))
			worst, most := 0, uint64(0)
			for i, run := range runs {
				n, _ := run.framesOn(1, 0, standbyTime)
				fmt.Printf(" %d", n)
				if n > most {
					worst, most = i, n
				}
			}
			fmt.Println()
			opt.printDecisions(runs[worst].Begun, runs[worst].decisions)
		}
	}
	return nil
}
