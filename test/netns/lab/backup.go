package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
)

// SMAPP section 4.2: an upload begins on one path, the other is a backup. After
// a second the first loses 30 % of its frames.
var backupExperiment = experiment{
	name: "backup", title: "§4.2 smarter backup: 2 × 5 Mbit/s, 30 % loss on the first from t = 1 s",
	takes: 3 * time.Minute, run: backup,
}

const (
	backupLossAt = time.Second
	backupLoss   = 0.30
	backupSettle = 2 * time.Second // after the loss begins
	backupSpan   = 12 * time.Second
	backupRuns   = 10
	backupWidth  = 8 // 5 Mbit/s each
)

// paperThreshold is SMAPP's rule alone: close a subflow when its timer has
// passed a second. What else makes handover move is switched off.
const paperThreshold = `[modes.smapp]
base = "handover"
rto_threshold = "1s"
stall_timeout = "1m"
loss_threshold = 1.0
`

// backed is what one run came to.
type backed struct {
	goodput float64  // Mbit/s from backupSettle after the loss until the end
	firstS  float64  // seconds from the loss to the first data on the other path; none: never
	late    float64  // seconds from the RTO passing 1 s to the request for the other path; none: never
	rto     float64  // seconds; the timer when it had passed; none: it did not
	trace   []upward // of the data sent
}

func backup(ctx context.Context, l *lab) (result, error) {
	standby := []string{"--path", "wifi0", "--path", "lte0:metered"}
	arms := []arm{
		{label: "stock backup flag", manager: "kernel", mode: "aggregate", client: standby},
		{label: "SMAPP's threshold", manager: "userspace", mode: "smapp", client: standby, modes: paperThreshold},
		{label: "mpproxy handover", manager: "userspace", mode: "handover", client: standby},
		{label: "healthy path alone", manager: "userspace", mode: "single", client: standby},
	}
	var cases tally[backed]
	var jobs []job
	for n := range l.count(backupRuns) {
		for k, a := range arms {
			if !l.wants(a.label) {
				continue
			}
			loss := backupLoss
			if k == 3 {
				loss = 0
			}
			jobs = append(jobs, func(ctx context.Context) error {
				b, err := backupRun(ctx, l, a, loss, uint64(n))
				if err != nil {
					return fmt.Errorf("%s: %w", a.label, err)
				}
				cases.add(a.label, b)
				return nil
			})
		}
	}
	if err := l.batch(ctx, backupWidth, jobs); err != nil {
		return result{}, err
	}
	return backupResult(arms, &cases), nil
}

func backupRun(ctx context.Context, l *lab, a arm, loss float64, seed uint64) (b backed, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return b, err
	}
	defer r.Close()
	segments, err := capture.Record(ctx, r.Client, capture.Options{}, ofLegs)
	if err != nil {
		return b, err
	}
	f, err := openFlow(ctx, r, a.mode)
	if err != nil {
		return b, err
	}
	defer f.close()
	subflows, err := f.subflows(ctx, r)
	if err != nil {
		return b, err
	}
	begun := time.Now()
	timer := watchRTO(ctx, r, r.Links[0].Client4)
	sent := make(chan struct{})
	go pump(f.near, sent)
	arrived := make(chan arrivals, 1)
	go count(f.far, begun, arrived)

	time.Sleep(backupLossAt)
	lossAt := time.Now()
	if err := lose(r.Links[0], loss); err != nil {
		return b, err
	}
	time.Sleep(backupSettle + backupSpan)
	f.close()
	<-sent
	got := <-arrived
	b.goodput = got.rate(lossAt.Sub(begun)+backupSettle, lossAt.Sub(begun)+backupSettle+backupSpan) / 1e6
	all, err := segments.Stop()
	if err != nil {
		return b, err
	}
	rto := timer.stop()
	own, ok := findLeg(all, subflows)
	if !ok {
		return b, errors.New("the capture does not have the connection's beginning")
	}
	b.trace = own.upload(all, begun, r.Links)
	b.judge(own.joins(all), lossAt, begun, rto)
	return b, rto.err
}

// judge finds the moments that matter.
func (b *backed) judge(joins []capture.Segment, lossAt, begun time.Time, rto rtoTrace) {
	b.firstS, b.late, b.rto = none, none, none
	for _, p := range b.trace {
		if p.path == 1 {
			b.firstS = p.at - lossAt.Sub(begun).Seconds()
			break
		}
	}
	crossed, value, ok := rto.passed(time.Second, lossAt)
	if !ok {
		return
	}
	b.rto = value.Seconds()
	for _, s := range joins {
		if s.At.After(lossAt) {
			b.late = s.At.Sub(crossed).Seconds()
			return
		}
	}
}

func backupResult(arms []arm, cases *tally[backed]) result {
	samples := sheet{header: []string{"case", "run", "goodput_mbps", "moved_after_s", "join_after_rto_passed_1s_s", "rto_s"}}
	var res result
	var goodput, moved [4]measure.Distribution
	var within, runs int
	var late []float64
	for k, a := range arms {
		var g, m []float64
		for n, b := range cases.of(a.label) {
			samples.add(a.label, n, b.goodput, b.firstS, b.late, b.rto)
			g = append(g, b.goodput)
			if !math.IsNaN(b.firstS) {
				m = append(m, 1000*b.firstS)
			}
			if k == 1 {
				if passed := !math.IsNaN(b.rto); passed {
					runs++
				}
				if moved := !math.IsNaN(b.late); moved {
					late = append(late, 1000*b.late)
				}
				if b.late <= b.rto {
					within++
				}
			}
		}
		goodput[k], moved[k] = measure.NewDistribution(g), measure.NewDistribution(m)
	}
	healthy := goodput[3].Median()
	share := func(k int) float64 { return 100 * goodput[k].Median() / healthy }
	lateness := measure.NewDistribution(late)
	res.rows = []row{
		{Quantity: "goodput from 2 s after the loss begins, of the healthy path's", Unit: "%", Stock: share(0), Ours: share(2), Aim: "≥ 99", Met: share(2) >= 99},
		{Quantity: "worst run of that", Unit: "%", Stock: 100 * goodput[0].Min() / healthy, Ours: 100 * goodput[2].Min() / healthy},
		{Quantity: "the same at SMAPP's threshold of 1 s", Unit: "%", Stock: share(0), Ours: share(1)},
		{Quantity: "from the loss to the first data on the other path", Unit: "ms", Stock: moved[0].Median(), Ours: moved[2].Median()},
		{Quantity: "at SMAPP's threshold: from the RTO passing 1 s to the new subflow's SYN", Unit: "ms", Stock: none, Ours: lateness.Median()},
		{Quantity: "at SMAPP's threshold: runs whose RTO passed 1 s in which that was within one RTO", Unit: "%", Stock: none, Ours: 100 * float64(within) / float64(max(runs, 1)), Aim: "100", Met: runs > 0 && within == runs},
	}
	for i := range res.rows {
		res.rows[i].Runs = goodput[2].Len()
	}
	res.rows[5].Runs = runs
	for k, a := range arms[:3] {
		if f, ok := sequenceFigure(a, cases.of(a.label)); ok {
			f.name = []string{"stock", "threshold", "handover"}[k]
			res.figures = append(res.figures, f)
		}
	}
	res.figures = append(res.figures, figure{
		name: "goodput", title: "Goodput from 2 s after the loss begins", x: "Mbit/s", y: "CDF", yMin: 0, yMax: 1, xMin: 0, xMax: 5,
		curves: []curve{
			cdfCurve(arms[0].label, goodput[0], orange, true), cdfCurve(arms[1].label, goodput[1], sky, false),
			cdfCurve(arms[2].label, goodput[2], blue, false), cdfCurve(arms[3].label, goodput[3], grey, false),
		},
	})
	res.samples = []sheet{samples}
	return res
}

// sequenceFigure is the paper's Figure 2a of the run with the median goodput.
func sequenceFigure(a arm, runs []backed) (figure, bool) {
	if len(runs) == 0 {
		return figure{}, false
	}
	trace := middle(runs, func(b backed) float64 { return b.goodput }).trace
	f := figure{title: "SMAPP §4.2, Fig. 2a: " + a.label, x: "time (s)", y: "data sequence number (MB)"}
	for i, c := range []curve{{label: "first path (30 % loss from 1 s)", color: green}, {label: "second path", color: vermillion}} {
		c.dots = true
		for _, p := range trace {
			if p.path == i {
				c.points = append(c.points, measure.Point{X: p.at, Y: p.data / 1e6})
			}
		}
		c.points = thin(c.points, 1200)
		f.curves = append(f.curves, c)
	}
	return f, true
}
