package main

import (
	"math"

	"mpproxy/test/netns/measure"
)

func longResult(arms []arm, cases *tally[lived]) result {
	fig := figure{
		title: "SMAPP §4.1: runs with a subflow that would get through", x: "time (s)", y: "share of runs",
		yMin: 0, yMax: 1.05,
	}
	samples := sheet{header: []string{"case", "run", "phase", "answer_ms"}}
	var sums [2]longSum
	for k, a := range arms {
		runs := cases.of(a.label)
		sums[k] = sumLong(runs)
		for path, name := range []string{"first path", "second path"} {
			fig.curves = append(fig.curves, curve{
				label: a.label + ", " + name, color: palettes[k][path], dashed: k == 0, points: workingCurve(runs, path),
			})
		}
		for n, v := range runs {
			for i, phase := range longPhases {
				samples.add(a.label, n, phase.name, v.answers[i])
			}
		}
	}
	return result{rows: longRows(sums[0], sums[1]), figures: []figure{fig}, samples: []sheet{samples}}
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

func longRows(stock, ours longSum) []row {
	var rows []row
	for i, phase := range longPhases {
		rows = append(rows, row{Quantity: "answer after a silence while " + phase.name + ", median", Unit: "ms", Stock: stock.answers[i].Median(), Ours: ours.answers[i].Median()})
	}
	rows = append(rows,
		row{Quantity: "questions without an answer within 30 s, all runs", Stock: float64(stock.unanswered), Ours: float64(ours.unanswered), Aim: "0", Met: ours.unanswered == 0 && ours.runs > 0},
		row{Quantity: "paths with a subflow that works 12 s after the last silence", Unit: "%", Stock: 100 * stock.working, Ours: 100 * ours.working, Aim: "100", Met: ours.working == 1})
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
