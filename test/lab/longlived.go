package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/lab/observe"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// SMAPP section 4.1: a connection that says something once in a while, behind
// middleboxes that forget what is idle, on each path in turn.
var longlivedExperiment = experiment{
	name: "longlived", title: "§4.1 long-lived connections behind middleboxes that forget idle state",
	takes: 4 * time.Minute, run: longlived,
}

const (
	longRuns  = 10
	longWidth = 20 // they are idle
	longWords = 400
	// longIdle is after how long a middlebox forgets, and longPause how long the
	// application is silent.
	longIdle  = 20 * time.Second
	longPause = 50 * time.Second
	longTick  = time.Second
	// longAfter is how long subflows have after the last answer to come back:
	// less than longIdle, after which new ones would be forgotten, too.
	longAfter = 12 * time.Second
	// longPatience is how long the application waits for an answer.
	longPatience = 30 * time.Second
)

// longPhase is one silence, and what the middleboxes of the first and the second
// path do meanwhile.
type longPhase struct {
	name  string
	boxes [2]link.Middlebox
}

var longPhases = []longPhase{
	{"the first path drops what it forgot", [2]link.Middlebox{{Idle: longIdle}, {}}},
	{"the second path resets what it forgot", [2]link.Middlebox{{}, {Idle: longIdle, Reset: true}}},
	{"both paths drop what they forgot", [2]link.Middlebox{{Idle: longIdle}, {Idle: longIdle}}},
}

// lived is what one run came to.
type lived struct {
	answers [3]float64 // ms after each silence; none: no answer in time
	working [][2]bool  // each longTick: whether a path has a subflow that would get through
	ended   bool       // the connection did not survive
}

func longlived(ctx context.Context, l *lab) (result, error) {
	arms := []arm{stockFullMesh, ours("aggregate")}
	var cases tally[lived]
	var jobs []job
	for n := range l.count(longRuns) {
		for _, a := range arms {
			if !l.wants(a.label) {
				continue
			}
			jobs = append(jobs, func(ctx context.Context) error {
				v, err := liveRun(ctx, l, a, uint64(n))
				if err != nil {
					return fmt.Errorf("%s: %w", a.label, err)
				}
				cases.add(a.label, v)
				return nil
			})
		}
	}
	if err := l.batch(ctx, longWidth, jobs); err != nil {
		return result{}, err
	}
	return longResult(arms, &cases), nil
}

func liveRun(ctx context.Context, l *lab, a arm, seed uint64) (v lived, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return v, err
	}
	defer r.Close()
	if err := setBoxes(r, [2]link.Middlebox{}); err != nil {
		return v, err
	}
	f, err := observe.OpenFlow(ctx, r, a.mode)
	if err != nil {
		return v, err
	}
	defer f.Close()
	go echo(f.Far)
	if _, err := exchange(f); err != nil {
		return v, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	working := make(chan [][2]bool, 1)
	go watchPaths(ctx, r, working)
	v.answers = [3]float64{publish.None, publish.None, publish.None}
	for i, phase := range longPhases {
		if err := setBoxes(r, phase.boxes); err != nil {
			return v, err
		}
		time.Sleep(longPause)
		took, err := exchange(f)
		switch {
		case err == nil:
			v.answers[i] = measure.Millis(took)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			v.ended = true
		}
		if err != nil {
			break // what comes later would answer the earlier question
		}
	}
	time.Sleep(longAfter)
	cancel()
	v.working = <-working
	return v, nil
}

func setBoxes(r *rig.Rig, boxes [2]link.Middlebox) error {
	return errors.Join(r.Links[0].SetMiddlebox(boxes[0]), r.Links[1].SetMiddlebox(boxes[1]))
}

// echo sends back what it gets; it is a goroutine's.
func echo(c io.ReadWriter) { _, _ = io.Copy(struct{ io.Writer }{c}, c) }

// exchange says something and waits for the answer.
func exchange(f observe.Flow) (time.Duration, error) {
	begun := time.Now()
	_ = f.Near.SetDeadline(begun.Add(longPatience))
	words := make([]byte, longWords)
	if _, err := f.Near.Write(words); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(f.Near, words)
	return time.Since(begun), err
}

// watchPaths notes each longTick on which paths there is an established subflow
// of a leg that the middlebox knows. The client has one leg but for a moment at
// its start.
func watchPaths(ctx context.Context, r *rig.Rig, result chan<- [][2]bool) {
	var all [][2]bool
	tick := time.NewTicker(longTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			result <- all
			return
		case <-tick.C:
		}
		var ends [][2]netip.AddrPort
		err := r.Client.Do(ctx, func() error {
			var err error
			ends, err = establishedLegs()
			return err
		})
		if err != nil {
			continue
		}
		var now [2]bool
		for i := range now {
			for _, e := range ends {
				now[i] = now[i] || e[0].Addr() == r.Links[i].Client4 && r.Links[i].Knows(e[0], e[1])
			}
		}
		all = append(all, now)
	}
}

// establishedLegs asks the kernel of the calling thread's namespace for the
// subflows to the concentrator.
func establishedLegs() ([][2]netip.AddrPort, error) {
	var out [][2]netip.AddrPort
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			local, ok1 := netip.AddrFromSlice(s.ID.Source)
			remote, ok2 := netip.AddrFromSlice(s.ID.Destination)
			if s.State != netlink.TCP_ESTABLISHED || s.ID.DestinationPort != rig.Port || !ok1 || !ok2 {
				continue
			}
			out = append(out, [2]netip.AddrPort{
				netip.AddrPortFrom(local.Unmap(), s.ID.SourcePort), netip.AddrPortFrom(remote.Unmap(), s.ID.DestinationPort),
			})
		}
	}
	return out, nil
}

func longResult(arms []arm, cases *tally[lived]) result {
	fig := publish.Figure{
		Title: "SMAPP §4.1: runs with a subflow that would get through", X: "time (s)", Y: "share of runs",
		YMin: 0, YMax: 1.05,
	}
	samples := publish.Sheet{Header: []string{"case", "run", "phase", "answer_ms"}}
	var sums [2]longSum
	for k, a := range arms {
		runs := cases.of(a.label)
		sums[k] = sumLong(runs)
		for path, name := range []string{"first path", "second path"} {
			fig.Curves = append(fig.Curves, publish.Curve{
				Label: a.label + ", " + name, Color: publish.Palettes[k][path], Dashed: k == 0, Points: workingCurve(runs, path),
			})
		}
		for n, v := range runs {
			for i, phase := range longPhases {
				samples.Add(a.label, n, phase.name, v.answers[i])
			}
		}
	}
	return result{rows: longRows(sums[0], sums[1]), figures: []publish.Figure{fig}, samples: []publish.Sheet{samples}}
}

// longSum is what all runs of an arm came to.
type longSum struct {
	runs       int
	answers    [3]measure.Distribution // ms
	unanswered int
	working    float64 // share of paths that work at the end
}

func sumLong(runs []lived) longSum {
	s := longSum{runs: len(runs), working: (workingShare(runs, 0) + workingShare(runs, 1)) / 2}
	for i := range longPhases {
		var all []float64
		for _, v := range runs {
			if math.IsNaN(v.answers[i]) {
				s.unanswered++
			} else {
				all = append(all, v.answers[i])
			}
		}
		s.answers[i] = measure.NewDistribution(all)
	}
	return s
}

func longRows(stock, ours longSum) []publish.Row {
	var rows []publish.Row
	for i, phase := range longPhases {
		rows = append(rows, publish.Row{Quantity: "answer after a silence while " + phase.name + ", median", Unit: "ms", Stock: stock.answers[i].Median(), Ours: ours.answers[i].Median()})
	}
	rows = append(rows,
		publish.Row{Quantity: "questions without an answer within 30 s, all runs", Stock: float64(stock.unanswered), Ours: float64(ours.unanswered), Aim: "0", Met: ours.unanswered == 0 && ours.runs > 0},
		publish.Row{Quantity: "paths with a subflow that works 12 s after the last silence", Unit: "%", Stock: 100 * stock.working, Ours: 100 * ours.working, Aim: "100", Met: ours.working == 1})
	for i := range rows {
		rows[i].Runs = ours.runs
	}
	return rows
}

// workingCurve is the share of runs in which a path works, over time.
func workingCurve(runs []lived, path int) []measure.Point {
	var points []measure.Point
	for i := 0; ; i++ {
		n, all := 0, 0
		for _, v := range runs {
			if i < len(v.working) {
				all++
				if v.working[i][path] {
					n++
				}
			}
		}
		if all == 0 {
			return points
		}
		points = append(points, measure.Point{X: float64(i+1) * longTick.Seconds(), Y: float64(n) / float64(all)})
	}
}

// workingShare is the share of runs in which a path works at the end.
func workingShare(runs []lived, path int) float64 {
	n := 0
	for _, v := range runs {
		if k := len(v.working); k > 0 && v.working[k-1][path] {
			n++
		}
	}
	return float64(n) / float64(len(runs))
}
