package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"mpproxy/test/lab/observe"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// The behaviours of three modes as plots: what each path carries, and how long
// an answer takes, while something happens to the first path.
var modesExperiment = experiment{
	name: "modes", title: "handover, interactive and lazy: throughput by path and round-trip time over time",
	takes: 4 * time.Minute, run: modes,
}

const (
	modeRuns  = 10
	modeWidth = 8
	modeBin   = 500 * time.Millisecond
)

// act is one mode at work.
type act struct {
	name string
	mode string
	// what happens, in words, for the titles of the figures.
	what  string
	play  func(ctx context.Context, r *rig.Rig, f observe.Flow, p *played) error
	judge func(stock, ours []played) []publish.Row
	round bool // the figure shows round-trip times, not throughput
}

func acts() []act {
	return []act{
		{name: "handover", mode: "handover", what: "download; the first path is silently dark from 4 s to 12 s", play: playHandover, judge: judgeHandover},
		{name: "interactive", mode: "interactive", what: "400 bytes each 50 ms; the first path's delay grows from 10 to 60 ms at 4 s, back at 12 s", play: playInteractive, judge: judgeInteractive, round: true},
		{name: "lazy", mode: "lazy", what: "200 KB, a pause, then 8 MB", play: playLazy, judge: judgeLazy},
	}
}

// played is what one run came to.
type played struct {
	paths  [2][]float64    // Mbit/s on each path, by modeBin, both ways together
	trips  []measure.Point // seconds, ms
	gap    float64         // ms; the longest without a byte at the application, after something happened
	before float64         // bytes on the second path before a flow was long
	took   float64         // seconds of the long part
}

func modes(ctx context.Context, l *lab) (result, error) {
	var res result
	var cases tally[played]
	var jobs []job
	for n := range l.count(modeRuns) {
		for _, t := range acts() {
			for _, a := range []arm{stockFullMesh, ours(t.mode)} {
				name := t.name + ": " + a.label
				if !l.wants(name) {
					continue
				}
				jobs = append(jobs, func(ctx context.Context) error {
					p, err := actRun(ctx, l, a, t, uint64(n))
					if err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					cases.add(name, p)
					return nil
				})
			}
		}
	}
	if err := l.batch(ctx, modeWidth, jobs); err != nil {
		return res, err
	}
	for _, t := range acts() {
		stock, mine := cases.of(t.name+": "+stockFullMesh.label), cases.of(t.name+": "+ours(t.mode).label)
		if len(stock) == 0 && len(mine) == 0 {
			continue
		}
		rows := t.judge(stock, mine)
		for i := range rows {
			rows[i].Runs = len(mine)
		}
		res.rows = append(res.rows, rows...)
		res.figures = append(res.figures, t.figures(stock, mine)...)
		res.samples = append(res.samples, t.samples(stock, mine))
	}
	return res, nil
}

func actRun(ctx context.Context, l *lab, a arm, t act, seed uint64) (p played, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return p, err
	}
	defer r.Close()
	f, err := observe.OpenFlow(ctx, r, a.mode)
	if err != nil {
		return p, err
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { p.paths = watchLinks(ctx, r) })
	err = t.play(ctx, r, f, &p)
	cancel()
	watching.Wait()
	return p, err
}

// watchLinks measures what each link carries until ctx is done.
func watchLinks(ctx context.Context, r *rig.Rig) (paths [2][]float64) {
	tick := time.NewTicker(modeBin)
	defer tick.Stop()
	start := time.Now()
	before, at := [2]uint64{carried(r, 0), carried(r, 1)}, start
	for {
		select {
		case <-ctx.Done():
			return paths
		case <-tick.C:
		}
		now := time.Now()
		for i := range paths {
			n := carried(r, i)
			rate := float64(n-before[i]) * 8 / 1e6 / now.Sub(at).Seconds()
			// A tick that came late stands for those that did not come.
			for len(paths[i]) < int(now.Sub(start)/modeBin) {
				paths[i] = append(paths[i], rate)
			}
			before[i] = n
		}
		at = now
	}
}

// carried is what a link has delivered, both ways together.
func carried(r *rig.Rig, i int) uint64 {
	return r.Links[i].Counters(netns.Upstream).DeliveredBytes + r.Links[i].Counters(netns.Downstream).DeliveredBytes
}

// When something happens to the first path, and when it is over.
const (
	actBegins = 4 * time.Second
	actEnds   = 12 * time.Second
	actOver   = 26 * time.Second
)

// happen runs begin and end at their times and returns when all is over.
func happen(start time.Time, begin, end func() error) error {
	time.Sleep(time.Until(start.Add(actBegins)))
	if err := begin(); err != nil {
		return err
	}
	time.Sleep(time.Until(start.Add(actEnds)))
	if err := end(); err != nil {
		return err
	}
	time.Sleep(time.Until(start.Add(actOver)))
	return nil
}

func playHandover(_ context.Context, r *rig.Rig, f observe.Flow, p *played) error {
	start := time.Now()
	sent, got := make(chan struct{}), make(chan observe.Arrivals, 1)
	go observe.Pump(f.Far, sent)
	go observe.Count(f.Near, start, got)
	err := happen(start,
		func() error { return r.Links[0].SetBlackhole(true) },
		func() error { return r.Links[0].SetBlackhole(false) })
	f.Close()
	<-sent
	p.gap = measure.Millis((<-got).Gap)
	return err
}

func playInteractive(ctx context.Context, r *rig.Rig, f observe.Flow, p *played) error {
	go echo(f.Far)
	start := time.Now()
	var asking sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	asking.Go(func() { p.trips = ask(ctx, f, start) })
	err := happen(start,
		func() error { return delay(r.Links[0], 60*time.Millisecond) },
		func() error { return delay(r.Links[0], 10*time.Millisecond) })
	cancel()
	asking.Wait()
	return err
}

// ask sends 400 bytes each 50 ms, and notes how long each answer took.
func ask(ctx context.Context, f observe.Flow, start time.Time) (trips []measure.Point) {
	words := make([]byte, 400)
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Until(start.Add(time.Duration(n) * 50 * time.Millisecond)))
		begun := time.Now()
		_ = f.Near.SetDeadline(begun.Add(10 * time.Second))
		if _, err := f.Near.Write(words); err != nil {
			return trips
		}
		if _, err := io.ReadFull(f.Near, words); err != nil {
			return trips
		}
		trips = append(trips, measure.Point{X: begun.Sub(start).Seconds(), Y: measure.Millis(time.Since(begun))})
	}
	return trips
}

func delay(l *netns.Link, d time.Duration) error {
	for _, way := range []link.Direction{netns.Upstream, netns.Downstream} {
		q := l.Params(way)
		q.Delay = d
		if err := l.Set(way, q); err != nil {
			return err
		}
	}
	return nil
}

// playLazy downloads a page's worth, pauses, and downloads much more.
func playLazy(ctx context.Context, r *rig.Rig, f observe.Flow, p *played) error {
	const short, long = 200_000, 8_000_000
	begun := carried(r, 1)
	if err := send(f, short); err != nil {
		return err
	}
	select {
	case <-time.After(4 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.before = float64(carried(r, 1) - begun)
	start := time.Now()
	if err := send(f, long); err != nil {
		return err
	}
	p.took = time.Since(start).Seconds()
	return nil
}

// send lets the destination send n bytes and waits until the application has
// them.
func send(f observe.Flow, n int64) error {
	_ = f.Far.SetDeadline(time.Now().Add(time.Minute))
	_ = f.Near.SetDeadline(time.Now().Add(time.Minute))
	wrote := make(chan error, 1)
	go func() {
		_, err := f.Far.Write(make([]byte, n))
		wrote <- err
	}()
	if _, err := io.CopyN(io.Discard, f.Near, n); err != nil {
		return err
	}
	return <-wrote
}
