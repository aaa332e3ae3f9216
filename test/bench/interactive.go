package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	echoEvery  = 100 * time.Millisecond
	echoSize   = 200
	echoEvent  = 3 * time.Second // nothing happens before
	echoEnd    = 15 * time.Second
	echoQuiet  = 30 * time.Second // of the case in which nothing happens at all
	echoBetter = 20 * time.Millisecond
	echoOther  = 60 * time.Millisecond
	echoSlack  = 10 * time.Millisecond
	echoQueue  = 500_000
	echoRuns   = 3
)

// echoLinks have round trips of 20 and 60 ms and queues that a bulk flow can
// make half a second long.
func echoLinks() []netns.LinkConfig {
	of := func(name string, rtt time.Duration) netns.LinkConfig {
		return netns.LinkConfig{Name: name, V4: true, Params: link.Params{Rate: 10 * link.Mbit, Delay: rtt / 2, Queue: echoQueue}}
	}
	return []netns.LinkConfig{of("dsl0", echoBetter), of("lte0", echoOther)}
}

// echoCase is something that happens to a conversation.
type echoCase struct {
	name string
	aim  string
	run  func(ctx context.Context, e measure.Echo, r *rig.Rig) (measure.Replies, error)
	sum  func(measure.Replies) string
}

var echoCases = []echoCase{
	{"nothing", fmt.Sprintf("99 %% ≤ %d ms", (echoBetter + echoSlack).Milliseconds()), nothingHappens, sumNothing},
	{"bulk download fills the queue", "moves within 1 s", withBulk(false), sumBulk},
	{"bulk upload fills the queue", "moves within 1 s", withBulk(true), sumBulk},
	{"the better path goes dark", "longest < 600 ms", goesDark, sumDark},
}

// interactive converses over two paths and prints the round trips.
func interactive(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-12s %-30s %-18s %s\n", "path manager", "mode", "what happens at 3 s", "aim", "seen, in each run")
	for _, c := range echoCases {
		for _, s := range []setting{pastProxy, {"kernel", "interactive"}, {"userspace", "interactive"}} {
			if !opt.wanted(s.String(), c.name) || s == pastProxy && c.name != "nothing" {
				continue
			}
			if err := c.measure(ctx, opt, s); err != nil {
				return fmt.Errorf("%s, %s: %w", s, c.name, err)
			}
		}
	}
	return nil
}

// pastProxy is plain TCP over the first link: what the emulated network allows.
var pastProxy = setting{"kernel", "no proxy"}

// talked is one conversation and what was decided meanwhile.
type talked struct {
	measure.Replies
	decisions []measure.Decision
}

func (c echoCase) measure(ctx context.Context, opt options, s setting) error {
	runs, err := measure.Repeat(ctx, min(opt.runs, echoRuns), opt.parallel, func(ctx context.Context, _ int, together measure.Together) (talked, error) {
		r, log, err := newRig(ctx, opt, s.manager, rig.Config{Links: echoLinks(), Prepare: fillQueues})
		if err != nil {
			return talked{}, err
		}
		defer r.Close()
		together(ctx)
		replies, err := c.run(ctx, measure.Echo{Mode: s.mode, Direct: s == pastProxy, Every: echoEvery, Size: echoSize, For: echoEnd}, r)
		together(ctx)
		return talked{replies, named(r, log.Decisions(replies.Begun))}, err
	})
	if err != nil {
		return err
	}
	for i, run := range runs {
		if i == 0 {
			fmt.Printf("  %-12s %-12s %-30s %-18s %s\n", s.manager, s.mode, c.name, c.aim, c.sum(run.Replies))
		} else {
			fmt.Printf("  %-75s %s\n", "", c.sum(run.Replies))
		}
		opt.printDecisions(run.Begun, run.decisions)
	}
	return nil
}

// fillQueues takes a congestion control that fills queues, which bbr does not.
func fillQueues(ctx context.Context, topo *netns.Topology) error {
	const name = "net.ipv4.tcp_congestion_control"
	return errors.Join(topo.Client.SetSysctl(ctx, name, "reno"), topo.Concentrator.SetSysctl(ctx, name, "reno"))
}

func nothingHappens(ctx context.Context, e measure.Echo, r *rig.Rig) (measure.Replies, error) {
	e.For = echoQuiet
	return e.Run(ctx, r)
}

func goesDark(ctx context.Context, e measure.Echo, r *rig.Rig) (measure.Replies, error) {
	e.Script = []measure.Step{{At: echoEvent, Do: deaths[0].do}}
	return e.Run(ctx, r)
}

// withBulk starts another connection, which stays on the best-ranked path.
func withBulk(upload bool) func(context.Context, measure.Echo, *rig.Rig) (measure.Replies, error) {
	return func(ctx context.Context, e measure.Echo, r *rig.Rig) (measure.Replies, error) {
		ended := make(chan error, 1)
		e.Script = []measure.Step{{At: echoEvent, Do: func(r *rig.Rig) error {
			go func() {
				_, err := measure.Bulk{Mode: "single", Upload: upload, For: echoEnd - echoEvent}.Run(ctx, r)
				ended <- err
			}()
			return nil
		}}}
		replies, err := e.Run(ctx, r)
		if err != nil {
			return replies, err
		}
		return replies, <-ended
	}
}

func distribution(d measure.Distribution) string {
	return fmt.Sprintf("median %.0f, 90 %% %.0f, 99 %% %.0f, longest %.0f ms", d.Median(), d.Quantile(0.9), d.Quantile(0.99), d.Max())
}

// sumNothing leaves the first second out: the first subflow may be on either path.
// How many messages are in time when nothing else wants a processor shows in those
// during which this program never waited for one.
func sumNothing(rs measure.Replies) string {
	const from, to, limit = time.Second, echoQuiet - echoSlack - echoOther, echoBetter + echoSlack
	d, calm := rs.Times(from, to), rs.Undisturbed().Times(from, to)
	return fmt.Sprintf("%.1f %% in time, %.1f %% of the %.0f %% that this machine did not hold up; %s", 100*d.ShareAtMost(measure.Millis(limit)),
		100*calm.ShareAtMost(measure.Millis(limit)), 100*float64(calm.Len())/float64(d.Len()), distribution(d))
}

func sumDark(rs measure.Replies) string {
	return distribution(rs.Times(echoEvent-time.Second, echoEnd))
}

// sumBulk says how long messages met the queue: from when it was half full to
// the first message, of those that were late, after which none was.
func sumBulk(rs measure.Replies) string {
	late := echoOther + echoSlack
	d := rs.Times(echoEvent, echoEnd-time.Second)
	half, most := time.Duration(-1), uint64(0)
	for _, s := range rs.Samples {
		queue := max(s.Up[0].QueueBytes, s.Down[0].QueueBytes)
		most = max(most, queue)
		if half < 0 && s.At > echoEvent && queue >= echoQueue/2 {
			half = s.At
		}
	}
	var first, moved time.Duration
	back := 0
	for _, r := range rs.Replies {
		switch {
		case r.At < echoEvent || r.At > echoEnd-time.Second:
		case r.Took > late && first == 0:
			first = r.At
		case r.Took <= late && first != 0 && moved == 0:
			moved = r.At
		case r.Took > late && moved != 0:
			back++
		}
	}
	return fmt.Sprintf("queue half full at %.1f s (most %d KB), messages late from %.1f s, in time from %.1f s, late again %d; %.0f %% late; %s",
		half.Seconds(), most/1000, first.Seconds(), moved.Seconds(), back, 100*(1-d.ShareAtMost(measure.Millis(late))), distribution(d))
}
