package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	healDark  = 2 * time.Second
	healAt    = healDark + 5*time.Second
	healAim   = 10 * time.Second
	healEnd   = healAt + healAim + healGrace + healTail
	healTail  = 10 * time.Second // for which a metered path has to be quiet
	healRuns  = 3
	healGrace = 1 * time.Second // for what was under way when the better path took over
)

// heal lets the path in use go dark for five seconds, and prints when the
// traffic is back on it, and what a metered standby carries from then on.
func heal(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %-9s %14s %22s   %s\n", "path manager", "mode", "direction", "standby",
		"back, worst", "frames on it afterwards", "all: back after s / frames on the standby in the 10 s after, last one at s")
	for _, s := range bulkSettings {
		for _, metered := range []bool{false, true} {
			for _, upload := range []bool{false, true} {
				standby := map[bool]string{false: "unmetered", true: "metered"}[metered]
				if !opt.wanted(s.String(), direction(upload), standby) {
					continue
				}
				t := trial{setting: s, links: twoSlowLinks(), bulk: measure.Bulk{
					Upload: upload, For: healEnd, Script: []measure.Step{
						{At: healDark, Do: func(r *rig.Rig) error { return r.Links[0].SetBlackhole(true) }},
						{At: healAt, Do: func(r *rig.Rig) error { return r.Links[0].SetBlackhole(false) }},
					},
				}}
				if metered {
					t.clientArgs = []string{"--path", "dsl0", "--path", "lte0:metered"}
				}
				if err := t.heal(ctx, opt, standby); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t trial) heal(ctx context.Context, opt options, standby string) error {
	runs, err := t.repeat(ctx, opt, healRuns)
	if err != nil {
		return err
	}
	each, worst := "", 0
	var slowest time.Duration
	var most uint64
	for i, run := range runs {
		back, ok := run.backOn(0, healAt, t.bulk.Upload)
		if !ok {
			slowest, worst = -1, i
			each += "  never"
			continue
		}
		frames, last := run.framesOn(1, back+healGrace, back+healGrace+healTail)
		each += fmt.Sprintf("  %.2f / %d, %.2f", (back - healAt).Seconds(), frames, last.Seconds())
		most = max(most, frames)
		if slowest >= 0 && back-healAt > slowest {
			slowest, worst = back-healAt, i
		}
	}
	shown := "never"
	if slowest >= 0 {
		shown = fmt.Sprintf("%.2f s", slowest.Seconds())
	}
	fmt.Printf("  %-12s %-10s %-9s %-9s %14s %22d %s\n", t.manager, t.mode, direction(t.bulk.Upload), standby, shown, most, each)
	opt.printDecisions(runs[worst].Begun, runs[worst].decisions)
	return nil
}

// backOn is the end of the first half second, after a time, in which a link
// carried at least 40 % of its rate.
func (s seen) backOn(i int, after time.Duration, upload bool) (time.Duration, bool) {
	const window, share = 500 * time.Millisecond, 0.4
	from := 0
	for to, b := range s.Samples {
		for s.Samples[from].At < b.At-window {
			from++
		}
		a := s.Samples[max(0, from-1)]
		bits := float64(delivered(b, i, upload)-delivered(a, i, upload)) * 8
		if a.At >= after && to > from && bits >= share*float64(5*link.Mbit)*(b.At-a.At).Seconds() {
			return b.At, true
		}
	}
	return 0, false
}

func delivered(s measure.Sample, i int, upload bool) uint64 {
	if upload {
		return s.Up[i].DeliveredBytes
	}
	return s.Down[i].DeliveredBytes
}

// framesOn counts the frames that were given to a link, at either end, in a
// part of the flow, and says when the last one before the end of it came.
func (s seen) framesOn(i int, from, to time.Duration) (n uint64, last time.Duration) {
	var before uint64
	for k, x := range s.Samples {
		offered := x.Up[i].Offered + x.Down[i].Offered
		switch {
		case k == 0:
		case x.At > to:
			return n, last
		case offered != before:
			last = x.At
			if x.At > from {
				n += offered - before
			}
		}
		before = offered
	}
	return n, last
}
