package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"mpproxy/test/lab/observe"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
)

// SMAPP section 4.3: an application sends a block each second and expects it
// within one. The first of two paths loses frames.
var streamingExperiment = experiment{
	name: "streaming", title: "§4.3 smarter streaming: delay of 64 KB blocks, one each second, the first of two 5 Mbit/s paths lossy",
	takes: 6 * time.Minute, run: streaming,
}

const (
	blockSize   = 64 << 10
	blockPeriod = time.Second
	blocks      = 60 // of a run
	// blockPatience is how long the last blocks may take: a run that does not
	// get them through in time reports them as that late.
	blockPatience  = 30 * time.Second
	streamingRuns  = 10
	streamingWidth = 20 // half a Mbit/s each
)

var streamingLosses = []float64{0, 0.10, 0.20, 0.30, 0.40}

// streamed is what one run came to, or all runs of a case.
type streamed struct {
	delays []float64 // ms
	joins  int       // further subflows
	runs   int
}

// together adds up runs.
func together(runs []streamed) streamed {
	var sum streamed
	for _, s := range runs {
		sum.delays, sum.joins, sum.runs = append(sum.delays, s.delays...), sum.joins+s.joins, sum.runs+1
	}
	return sum
}

func streaming(ctx context.Context, l *lab) (result, error) {
	arms := []arm{stockFullMesh, ours("streaming")}
	var cases tally[streamed]
	var jobs []job
	for n := range l.count(streamingRuns) {
		for _, loss := range streamingLosses {
			for _, a := range arms {
				name := streamingCase(a, loss)
				if !l.wants(name) {
					continue
				}
				jobs = append(jobs, func(ctx context.Context) error {
					s, err := streamRun(ctx, l, a, loss, uint64(n))
					if err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					cases.add(name, s)
					return nil
				})
			}
		}
	}
	if err := l.batch(ctx, streamingWidth, jobs); err != nil {
		return result{}, err
	}
	return streamingResult(arms, &cases), nil
}

func streamingCase(a arm, loss float64) string {
	return fmt.Sprintf("%s, %.0f %% loss", a.label, 100*loss)
}

// streamRun streams blocks up.
func streamRun(ctx context.Context, l *lab, a arm, loss float64, seed uint64) (s streamed, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return s, err
	}
	defer r.Close()
	segments, err := capture.Record(ctx, r.Client, capture.Options{SYN: true}, observe.OfLegs)
	if err != nil {
		return s, err
	}
	f, err := observe.OpenFlow(ctx, r, a.mode)
	if err != nil {
		return s, err
	}
	defer f.Close()
	subflows, err := f.Subflows(ctx, r)
	if err != nil {
		return s, err
	}
	// The connection begins on a clean path, so that its first subflow is there
	// in each case, and no block is sent before the loss begins.
	if err := lose(r.Links[0], loss); err != nil {
		return s, err
	}
	if s.delays, err = streamBlocks(f); err != nil {
		return s, err
	}
	seen, err := segments.Stop()
	if err != nil {
		return s, err
	}
	own, ok := observe.FindLeg(seen, subflows)
	if !ok {
		return s, errors.New("the capture does not have the connection's beginning")
	}
	s.joins = len(own.Joins(seen))
	return s, nil
}

// streamBlocks sends blocks on schedule and times their arrival, from the moment
// at which each was due.
func streamBlocks(f observe.Flow) ([]float64, error) {
	start := time.Now().Add(100 * time.Millisecond)
	failed := make(chan error, 1)
	go sendBlocks(f.Near, start, failed)
	end := start.Add(blocks*blockPeriod + blockPatience)
	_ = f.Far.SetReadDeadline(end)
	buf := make([]byte, blockSize)
	var delays []float64
	for i := range blocks {
		due := start.Add(time.Duration(i) * blockPeriod)
		_, err := io.ReadFull(f.Far, buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// It did not come: at least this late.
			delays = append(delays, measure.Millis(end.Sub(due)))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
		delays = append(delays, measure.Millis(time.Since(due)))
	}
	_ = f.Near.Close() // ends the sender, should it be stuck
	err := <-failed
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return delays, err
}

func sendBlocks(w io.Writer, start time.Time, failed chan<- error) {
	content := apps.NewContent(blocks * blockSize)
	buf := make([]byte, blockSize)
	for i := range blocks {
		time.Sleep(time.Until(start.Add(time.Duration(i) * blockPeriod)))
		_, err := io.ReadFull(content, buf)
		if err == nil {
			_, err = w.Write(buf)
		}
		if err != nil {
			failed <- err
			return
		}
	}
	failed <- nil
}

func streamingResult(arms []arm, cases *tally[streamed]) result {
	samples := publish.Sheet{Header: []string{"case", "loss", "delay_ms"}}
	fig := publish.Figure{
		Title: "SMAPP §4.3: delay of 64 KB blocks", X: "block delay (s)", Y: "CDF",
		XMin: 0, XMax: 3, YMin: 0, YMax: 1,
	}
	var res result
	for i, loss := range streamingLosses {
		var both [2]streamed
		for k, a := range arms {
			name := streamingCase(a, loss)
			both[k] = together(cases.of(name))
			for _, v := range both[k].delays {
				samples.Add(a.label, loss, v)
			}
			if loss > 0 {
				d := measure.NewDistribution(publish.Scaled(both[k].delays, 1e-3))
				fig.Curves = append(fig.Curves, publish.CdfCurve(name, d, publish.Palettes[k][i-1], k == 0))
			}
		}
		res.rows = append(res.rows, streamingRows(loss, both[0], both[1])...)
	}
	res.figures, res.samples = []publish.Figure{fig}, []publish.Sheet{samples}
	return res
}

func streamingRows(loss float64, stock, our streamed) []publish.Row {
	s, o := measure.NewDistribution(stock.delays), measure.NewDistribution(our.delays)
	at := fmt.Sprintf("at %.0f %% loss", 100*loss)
	rows := []publish.Row{
		{Quantity: "blocks within 1 s " + at, Unit: "%", Stock: 100 * s.ShareAtMost(1000), Ours: 100 * o.ShareAtMost(1000), Aim: "≥ 95", Met: o.ShareAtMost(1000) >= 0.95},
		{Quantity: "median block delay " + at, Unit: "ms", Stock: s.Median(), Ours: o.Median(), Aim: "≤ 150", Met: o.Median() <= 150},
		{Quantity: "99th percentile of block delay " + at, Unit: "ms", Stock: s.Quantile(0.99), Ours: o.Quantile(0.99)},
	}
	if loss == 0 {
		each := func(c streamed) float64 { return float64(c.joins) / float64(c.runs) }
		rows = append(rows, publish.Row{Quantity: "further subflows without loss, a run", Stock: each(stock), Ours: each(our), Aim: "0", Met: our.joins == 0})
	}
	for i := range rows {
		rows[i].Runs = our.runs
	}
	return rows
}
