package main

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"math"
	"time"

	"mpproxy/test/lab/observe"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
)

// SMAPP section 4.2: an upload begins on one path, the other is a backup. After
// a second the first loses 30 % of its frames.
var backupExperiment = experiment{
	name: "backup", title: "§4.2 smarter backup: 2 × 5 Mbit/s, 30 % loss on the first from t = 1 s",
	takes: 2 * time.Minute, run: backup,
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
	goodput float64          // Mbit/s from backupSettle after the loss until the end
	firstS  float64          // seconds from the loss to the first data on the other path; none: never
	late    float64          // seconds from the RTO passing 1 s to the request for the other path; none: never
	rto     float64          // seconds; the timer when it had passed; none: it did not
	trace   []observe.Upward // of the data sent
}

var backupColors = []color.Color{publish.Orange, publish.Sky, publish.Blue, publish.Grey}

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
	segments, err := capture.Record(ctx, r.Client, capture.Options{}, observe.OfLegs)
	if err != nil {
		return b, err
	}
	f, err := observe.OpenFlow(ctx, r, a.mode)
	if err != nil {
		return b, err
	}
	defer f.Close()
	subflows, err := f.Subflows(ctx, r)
	if err != nil {
		return b, err
	}
	begun := time.Now()
	timer := observe.WatchRTO(ctx, r, r.Links[0].Client4)
	sent := make(chan struct{})
	go observe.Pump(f.Near, sent)
	arrived := make(chan observe.Arrivals, 1)
	go observe.Count(f.Far, begun, arrived)

	time.Sleep(backupLossAt)
	lossAt := time.Now()
	if err := lose(r.Links[0], loss); err != nil {
		return b, err
	}
	time.Sleep(backupSettle + backupSpan)
	f.Close()
	<-sent
	got := <-arrived
	b.goodput = got.Rate(lossAt.Sub(begun)+backupSettle, lossAt.Sub(begun)+backupSettle+backupSpan) / 1e6
	all, err := segments.Stop()
	if err != nil {
		return b, err
	}
	rto := timer.Stop()
	own, ok := observe.FindLeg(all, subflows)
	if !ok {
		return b, errors.New("the capture does not have the connection's beginning")
	}
	b.trace = own.Upload(all, begun, r.Links)
	b.judge(own.Joins(all), lossAt, begun, rto)
	return b, rto.Err
}

// judge finds the moments that matter.
func (b *backed) judge(joins []capture.Segment, lossAt, begun time.Time, rto observe.RtoTrace) {
	b.firstS, b.late, b.rto = publish.None, publish.None, publish.None
	for _, p := range b.trace {
		if p.Path == 1 {
			b.firstS = p.At - lossAt.Sub(begun).Seconds()
			break
		}
	}
	crossed, value, ok := rto.Passed(time.Second, lossAt)
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

// backupSum is what all runs of an arm came to.
type backupSum struct {
	goodput, moved measure.Distribution // Mbit/s; ms from the loss to data on the other path
	late           measure.Distribution // ms from the timer passing 1 s to the request for it
	passed, within int                  // runs whose timer passed 1 s; of these, moved within one RTO
}

func sumBackup(runs []backed) (s backupSum) {
	var goodput, moved, late []float64
	for _, b := range runs {
		goodput = append(goodput, b.goodput)
		if !math.IsNaN(b.firstS) {
			moved = append(moved, 1000*b.firstS)
		}
		if !math.IsNaN(b.late) {
			late = append(late, 1000*b.late)
		}
		if !math.IsNaN(b.rto) {
			s.passed++
		}
		if b.late <= b.rto {
			s.within++
		}
	}
	s.goodput, s.moved, s.late = measure.NewDistribution(goodput), measure.NewDistribution(moved), measure.NewDistribution(late)
	return s
}

func backupResult(arms []arm, cases *tally[backed]) result {
	samples := publish.Sheet{Header: []string{"case", "run", "goodput_mbps", "moved_after_s", "join_after_rto_passed_1s_s", "rto_s"}}
	var sums [4]backupSum
	var res result
	goodput := publish.Figure{Name: "goodput", Title: "Goodput from 2 s after the loss begins", X: "Mbit/s", Y: "CDF", YMin: 0, YMax: 1, XMin: 0, XMax: 5}
	for k, a := range arms {
		runs := cases.of(a.label)
		sums[k] = sumBackup(runs)
		for n, b := range runs {
			samples.Add(a.label, n, b.goodput, b.firstS, b.late, b.rto)
		}
		goodput.Curves = append(goodput.Curves, publish.CdfCurve(a.label, sums[k].goodput, backupColors[k], k == 0))
		if f, ok := sequenceFigure(a, runs); ok && k < 3 {
			f.Name = []string{"stock", "threshold", "handover"}[k]
			res.figures = append(res.figures, f)
		}
	}
	res.rows, res.samples = backupRows(sums), []publish.Sheet{samples}
	res.figures = append(res.figures, goodput)
	return res
}

func backupRows(sums [4]backupSum) []publish.Row {
	stock, smapp, ours, healthy := sums[0], sums[1], sums[2], sums[3].goodput.Median()
	share := func(v float64) float64 { return 100 * v / healthy }
	n := ours.goodput.Len()
	return []publish.Row{
		{Quantity: "goodput from 2 s after the loss begins, of the healthy path's", Unit: "%", Stock: share(stock.goodput.Median()), Ours: share(ours.goodput.Median()), Aim: "≥ 99", Met: share(ours.goodput.Median()) >= 99, Runs: n},
		{Quantity: "worst run of that", Unit: "%", Stock: share(stock.goodput.Min()), Ours: share(ours.goodput.Min()), Runs: n},
		{Quantity: "the same at SMAPP's threshold of 1 s", Unit: "%", Stock: share(stock.goodput.Median()), Ours: share(smapp.goodput.Median()), Runs: smapp.goodput.Len()},
		{Quantity: "from the loss to the first data on the other path", Unit: "ms", Stock: stock.moved.Median(), Ours: ours.moved.Median(), Runs: n},
		{Quantity: "at SMAPP's threshold: from the RTO passing 1 s to the new subflow's SYN", Unit: "ms", Stock: publish.None, Ours: smapp.late.Median(), Runs: smapp.late.Len()},
		{Quantity: "at SMAPP's threshold: runs whose RTO passed 1 s in which that was within one RTO", Unit: "%", Stock: publish.None, Ours: 100 * float64(smapp.within) / float64(smapp.passed), Aim: "100", Met: smapp.passed > 0 && smapp.within == smapp.passed, Runs: smapp.passed},
	}
}

// sequenceFigure is the paper's Figure 2a of the run with the median goodput.
func sequenceFigure(a arm, runs []backed) (publish.Figure, bool) {
	if len(runs) == 0 {
		return publish.Figure{}, false
	}
	trace := observe.Middle(runs, func(b backed) float64 { return b.goodput }).trace
	f := publish.Figure{Title: "SMAPP §4.2, Fig. 2a: " + a.label, X: "time (s)", Y: "data sequence number (MB)"}
	for i, c := range []publish.Curve{{Label: "first path (30 % loss from 1 s)", Color: publish.Green}, {Label: "second path", Color: publish.Vermillion}} {
		c.Dots = true
		for _, p := range trace {
			if p.Path == i {
				c.Points = append(c.Points, measure.Point{X: p.At, Y: p.Data / 1e6})
			}
		}
		c.Points = publish.Thin(c.Points, 500)
		f.Curves = append(f.Curves, c)
	}
	return f, true
}
