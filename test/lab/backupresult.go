package main

import (
	"math"

	"mpproxy/test/netns/measure"
)

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
	samples := sheet{header: []string{"case", "run", "goodput_mbps", "moved_after_s", "join_after_rto_passed_1s_s", "rto_s"}}
	var sums [4]backupSum
	var res result
	goodput := figure{name: "goodput", title: "Goodput from 2 s after the loss begins", x: "Mbit/s", y: "CDF", yMin: 0, yMax: 1, xMin: 0, xMax: 5}
	for k, a := range arms {
		runs := cases.of(a.label)
		sums[k] = sumBackup(runs)
		for n, b := range runs {
			samples.add(a.label, n, b.goodput, b.firstS, b.late, b.rto)
		}
		goodput.curves = append(goodput.curves, cdfCurve(a.label, sums[k].goodput, backupColors[k], k == 0))
		if f, ok := sequenceFigure(a, runs); ok && k < 3 {
			f.name = []string{"stock", "threshold", "handover"}[k]
			res.figures = append(res.figures, f)
		}
	}
	res.rows, res.samples = backupRows(sums), []sheet{samples}
	res.figures = append(res.figures, goodput)
	return res
}

func backupRows(sums [4]backupSum) []row {
	stock, smapp, ours, healthy := sums[0], sums[1], sums[2], sums[3].goodput.Median()
	share := func(v float64) float64 { return 100 * v / healthy }
	n := ours.goodput.Len()
	return []row{
		{Quantity: "goodput from 2 s after the loss begins, of the healthy path's", Unit: "%", Stock: share(stock.goodput.Median()), Ours: share(ours.goodput.Median()), Aim: "≥ 99", Met: share(ours.goodput.Median()) >= 99, Runs: n},
		{Quantity: "worst run of that", Unit: "%", Stock: share(stock.goodput.Min()), Ours: share(ours.goodput.Min()), Runs: n},
		{Quantity: "the same at SMAPP's threshold of 1 s", Unit: "%", Stock: share(stock.goodput.Median()), Ours: share(smapp.goodput.Median()), Runs: smapp.goodput.Len()},
		{Quantity: "from the loss to the first data on the other path", Unit: "ms", Stock: stock.moved.Median(), Ours: ours.moved.Median(), Runs: n},
		{Quantity: "at SMAPP's threshold: from the RTO passing 1 s to the new subflow's SYN", Unit: "ms", Stock: none, Ours: smapp.late.Median(), Runs: smapp.late.Len()},
		{Quantity: "at SMAPP's threshold: runs whose RTO passed 1 s in which that was within one RTO", Unit: "%", Stock: none, Ours: 100 * float64(smapp.within) / float64(smapp.passed), Aim: "100", Met: smapp.passed > 0 && smapp.within == smapp.passed, Runs: smapp.passed},
	}
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
		c.points = thin(c.points, 500)
		f.curves = append(f.curves, c)
	}
	return f, true
}
