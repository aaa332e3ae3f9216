package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// setting is who makes the subflows, and how.
type setting struct{ manager, mode string }

func (s setting) String() string { return s.manager + " " + s.mode }

// bulkSettings are those that are compared in what happens to bulk transfers.
var bulkSettings = []setting{{"kernel", "aggregate"}, {"userspace", "aggregate"}, {"userspace", "handover"}}

// wanted reports whether a row was asked for with -rows.
func (o options) wanted(row ...string) bool { return strings.Contains(strings.Join(row, " "), o.rows) }

// trial is one flow over a rig of its own.
type trial struct {
	setting
	links      []netns.LinkConfig
	clientArgs []string
	bulk       measure.Bulk // its mode is the setting's
}

// seen is what came of it.
type seen struct {
	measure.Run
	decisions []measure.Decision
}

func (t trial) run(ctx context.Context, opt options, together measure.Together) (seen, error) {
	r, log, err := newRig(ctx, opt, t.manager, rig.Config{Links: t.links, ClientArgs: t.clientArgs, Prepare: measure.WithoutIPv6})
	if err != nil {
		return seen{}, fmt.Errorf("%s: %w", t.setting, err)
	}
	defer r.Close()
	t.bulk.Mode = t.mode
	together(ctx)
	run, err := t.bulk.Run(ctx, r)
	together(ctx)
	s := seen{run, named(r, log.Decisions(run.Begun))}
	if err != nil {
		opt.printDecisions(s.Begun, s.decisions)
		return s, fmt.Errorf("%s: %w", t.setting, err)
	}
	return s, nil
}

// repeat runs a trial, with links that lose other frames each time.
func (t trial) repeat(ctx context.Context, opt options, most int) ([]seen, error) {
	return measure.Repeat(ctx, min(opt.runs, most), opt.parallel, func(ctx context.Context, run int, together measure.Together) (seen, error) {
		links := slices.Clone(t.links)
		for i := range links {
			links[i].Seed = uint64(run*len(links) + i)
		}
		return trial{t.setting, links, t.clientArgs, t.bulk}.run(ctx, opt, together)
	})
}

// newRig starts a system with a path manager at both ends, and keeps what they
// decide.
func newRig(ctx context.Context, opt options, manager string, cfg rig.Config) (*rig.Rig, *measure.Log, error) {
	log := &measure.Log{}
	edit := measure.Edits(measure.Manager(manager), measure.LogDecisions)
	cfg = opt.rig(cfg)
	cfg.EditServer, cfg.EditClient = measure.Edits(edit, cfg.EditServer), measure.Edits(edit, cfg.EditClient)
	show := cfg.Logf
	cfg.Logf = func(format string, args ...any) {
		log.Logf(format, args...)
		if show != nil {
			show(format, args...)
		}
	}
	r, err := rig.New(ctx, cfg)
	return r, log, err
}

// twoSlowLinks are SMAPP's: 5 Mbit/s, 10 ms, with 60 KB queues.
func twoSlowLinks() []netns.LinkConfig {
	p := link.Params{Rate: 5 * link.Mbit, Delay: 10 * time.Millisecond, Queue: 60_000}
	return []netns.LinkConfig{{Name: "dsl0", Params: p, V4: true}, {Name: "lte0", Params: p, V4: true}}
}

// direction of a bulk flow, in words.
func direction(upload bool) string {
	if upload {
		return "upload"
	}
	return "download"
}

var printing sync.Mutex // rigs run side by side

// printDecisions shows with -v what both ends decided since a time.
func (o options) printDecisions(begun time.Time, ds []measure.Decision) {
	if !o.verbose {
		return
	}
	printing.Lock()
	defer printing.Unlock()
	for _, d := range ds {
		fmt.Printf("      %8.3f s  %-12s %s\n", d.When.Sub(begun).Seconds(), d.End, d.Text)
	}
}
