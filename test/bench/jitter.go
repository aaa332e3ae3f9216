package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// jitterLinks: the path in use has 40 ms ± 30 ms and loses 1 %, each way; the
// other one is clean, but farther away, so that no mode has a reason to
// prefer it.
func jitterLinks() []netns.LinkConfig {
	shaky := link.Params{Rate: 5 * link.Mbit, Delay: 10 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.01, Queue: 60_000}
	clean := link.Params{Rate: 5 * link.Mbit, Delay: 80 * time.Millisecond, Queue: 60_000}
	return []netns.LinkConfig{{Name: "dsl0", Params: shaky, V4: true, Seed: 1}, {Name: "lte0", Params: clean, V4: true, Seed: 2}}
}

// jitter leaves all paths as they are and counts what the controllers do
// nevertheless, which should be nothing, and what the traffic made of it.
func jitter(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-12s %-20s %10s   %s\n", "path manager", "mode", "traffic", "evictions", "aim: none; what the traffic got")
	all := []setting{{"kernel", "aggregate"}, {"userspace", "handover"}, {"userspace", "aggregate"}, {"userspace", "interactive"}}
	rows, err := measure.Repeat(ctx, len(all), len(all), func(ctx context.Context, i int, together measure.Together) (shaken, error) {
		if !opt.wanted(all[i].String()) {
			together(ctx)
			together(ctx)
			return shaken{}, nil
		}
		return shake(ctx, opt, all[i], together)
	})
	for _, s := range rows {
		if s.line != "" {
			fmt.Println(s.line)
			opt.printDecisions(s.begun, s.decisions)
		}
	}
	return err
}

type shaken struct {
	line      string
	begun     time.Time
	decisions []measure.Decision
}

// shake runs traffic of a mode for a while and counts the evictions.
func shake(ctx context.Context, opt options, s setting, together measure.Together) (shaken, error) {
	r, log, err := newRig(ctx, opt, s.manager, rig.Config{Links: jitterLinks()})
	if err != nil {
		return shaken{}, err
	}
	defer r.Close()
	together(ctx)
	begun := time.Now()
	traffic, got, err := shakenTraffic(ctx, opt, s.mode, r)
	together(ctx)
	ds := named(r, log.Decisions(begun))
	n := 0
	for _, d := range ds {
		// That the standby of a mode is backup is no eviction, and what follows the
		// end of the traffic neither.
		if evicts(d) && d.When.Sub(begun) < opt.calm && (s.mode == "aggregate" || d.Path == "dsl0") {
			n++
		}
	}
	return shaken{fmt.Sprintf("  %-12s %-12s %-20s %10d   in %s; %s", s.manager, s.mode, traffic, n, opt.calm, got), begun, ds}, err
}

// shakenTraffic is bulk both ways, or an echo for the mode that is made for it.
func shakenTraffic(ctx context.Context, opt options, mode string, r *rig.Rig) (traffic, got string, err error) {
	if mode == "interactive" {
		replies, err := measure.Echo{Mode: mode, Every: echoEvery, Size: echoSize, For: opt.calm}.Run(ctx, r)
		return "200 bytes per 100 ms", distribution(replies.Times(0, opt.calm-time.Second)) + "; " + trueLoss(r), err
	}
	var runs [2]measure.Run
	g, ctx := errgroup.WithContext(ctx)
	for i := range runs {
		g.Go(func() (err error) {
			runs[i], err = measure.Bulk{Mode: mode, Upload: i == 0, For: opt.calm}.Run(ctx, r)
			return err
		})
	}
	err = g.Wait()
	for i, run := range runs {
		gap, since := run.Arrivals.Silence(time.Second, opt.calm)
		got += fmt.Sprintf("%s %.2f Mbit/s, longest silence %.0f ms at %.0f s; ", direction(i == 0),
			run.Arrivals.Goodput(0, opt.calm)/1e6, measure.Millis(gap), since.Seconds())
	}
	got += trueLoss(r)
	return "bulk up and down", got, err
}

// trueLoss says which share of the frames the links have lost, and how many
// found a queue full, and how far the links can be trusted.
func trueLoss(r *rig.Rig) string {
	text, latest, late := "lost / queue full:", time.Duration(0), uint64(0)
	for _, l := range r.Links {
		for _, d := range []link.Direction{netns.Upstream, netns.Downstream} {
			c := l.Counters(d)
			share := func(n uint64) float64 { return 100 * float64(n) / float64(max(c.Offered, 1)) }
			text += fmt.Sprintf(" %s %s %.1f / %.1f %%", l.Name, d, share(c.Lost), share(c.QueueDrops))
			latest, late = max(latest, c.Latest), late+c.Late
		}
	}
	return text + fmt.Sprintf("; the emulator was up to %d ms late, %d frames by more than %d ms",
		latest.Milliseconds(), late, link.MuchLate.Milliseconds())
}

// evicts reports whether a decision took a subflow out of use.
func evicts(d measure.Decision) bool {
	return d.Action == "destroy" || d.Action == "make backup" || d.Action == "failed"
}

// named gives the paths of the concentrator's decisions, which are addresses,
// the names of the links.
func named(r *rig.Rig, ds []measure.Decision) []measure.Decision {
	for i, d := range ds {
		for _, l := range r.Links {
			if d.Path == l.Client4.String() {
				ds[i].Path = l.Name
			}
		}
	}
	return ds
}
