package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	silenceWarmUp = 2 * time.Second // before the path dies
	silenceEnd    = 6 * time.Second
)

// deaths are the ways in which a path dies.
var deaths = []struct {
	name string
	do   func(*rig.Rig) error
}{
	{"silently dark", func(r *rig.Rig) error { return r.Links[0].SetBlackhole(true) }},
	{"reported down", reportedDown},
}

// reportedDown pulls the plug and waits until the kernel says so: it gathers
// such news for up to a second when any namespace had some a moment ago
// (net/core/link_watch.c), and rigs run side by side.
func reportedDown(r *rig.Rig) error {
	if err := r.Links[0].SetCarrier(false); err != nil {
		return err
	}
	const patience, look = 3 * time.Second, time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(look) {
		var flags uint32
		err := r.Client.Do(context.Background(), func() error {
			l, err := netlink.LinkByName(r.Links[0].Name)
			if err == nil {
				flags = l.Attrs().RawFlags
			}
			return err
		})
		if err != nil || flags&unix.IFF_RUNNING == 0 {
			return err
		}
	}
	return errors.New("the kernel does not report that the link is down")
}

// deadRun is a run with the time when the path was dead, and reported so.
type deadRun struct {
	seen
	died time.Duration
}

// silence kills the path in use in the middle of a bulk transfer and prints the
// longest time without a byte at the receiving application.
func silence(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %-14s %9s %9s   %s\n", "path manager", "mode", "direction", "event", "median", "worst", "all, ms")
	for _, s := range bulkSettings {
		for _, upload := range []bool{false, true} {
			for _, death := range deaths {
				if !opt.wanted(s.String(), direction(upload), death.name) {
					continue
				}
				t := trial{setting: s, links: twoSlowLinks(), bulk: measure.Bulk{Upload: upload, For: silenceEnd}}
				if err := t.silence(ctx, opt, death.name, death.do); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t trial) silence(ctx context.Context, opt options, event string, die func(*rig.Rig) error) error {
	runs, err := measure.Repeat(ctx, opt.runs, opt.parallel, func(ctx context.Context, _ int, together measure.Together) (deadRun, error) {
		return t.dies(ctx, opt, die, together)
	})
	if err != nil {
		return err
	}
	var gaps []float64
	var each []string
	worst := 0
	for i, run := range runs {
		gap, _ := run.Arrivals.Silence(run.died, silenceEnd)
		gaps = append(gaps, measure.Millis(gap))
		each = append(each, fmt.Sprintf("%.0f", gaps[i]))
		if gaps[i] > gaps[worst] {
			worst = i
		}
	}
	d := measure.NewDistribution(gaps)
	fmt.Printf("  %-12s %-10s %-9s %-14s %6.0f ms %6.0f ms   %s\n", t.manager, t.mode, direction(t.bulk.Upload), event,
		d.Median(), d.Max(), strings.Join(each, " "))
	opt.printDecisions(runs[worst].Begun, runs[worst].decisions)
	return nil
}

// dies runs the trial, and kills the path in use.
func (t trial) dies(ctx context.Context, opt options, die func(*rig.Rig) error, together measure.Together) (deadRun, error) {
	var died time.Time
	t.bulk.Script = []measure.Step{{At: silenceWarmUp, Do: func(r *rig.Rig) error {
		err := die(r)
		died = time.Now()
		return err
	}}}
	run, err := t.run(ctx, opt, together)
	return deadRun{run, died.Sub(run.Begun)}, err
}
