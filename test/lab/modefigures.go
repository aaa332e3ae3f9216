package main

import (
	"image/color"
	"time"

	"mpproxy/test/lab/publish"
	"mpproxy/test/netns/measure"
)

// over collects one number of all runs.
func over(runs []played, get func(played) float64) measure.Distribution {
	var all []float64
	for _, p := range runs {
		all = append(all, get(p))
	}
	return measure.NewDistribution(all)
}

// meanPath is what a path carries on the average of an interval, in Mbit/s.
func meanPath(path int, from, to time.Duration) func(played) float64 {
	return func(p played) float64 {
		sum, n := 0.0, 0
		for i := int(from / modeBin); i < int(to/modeBin) && i < len(p.paths[path]); i++ {
			sum, n = sum+p.paths[path][i], n+1
		}
		return sum / float64(n)
	}
}

func judgeHandover(stock, mine []played) []publish.Row {
	gap := func(p played) float64 { return p.gap }
	back := meanPath(0, actOver-4*time.Second, actOver)
	return []publish.Row{
		{Quantity: "handover: longest silence at the application, median", Unit: "ms", Stock: over(stock, gap).Median(), Ours: over(mine, gap).Median()},
		{Quantity: "handover: longest silence at the application, worst", Unit: "ms", Stock: over(stock, gap).Max(), Ours: over(mine, gap).Max()},
		{Quantity: "handover: on the first path again, from 10 s after it is back, median", Unit: "Mbit/s", Stock: over(stock, back).Median(), Ours: over(mine, back).Median()},
	}
}

// tripsWithin returns the round-trip times of an interval, of all runs.
func tripsWithin(runs []played, from, to time.Duration) measure.Distribution {
	var all []float64
	for _, p := range runs {
		for _, t := range p.trips {
			if t.X >= from.Seconds() && t.X < to.Seconds() {
				all = append(all, t.Y)
			}
		}
	}
	return measure.NewDistribution(all)
}

func judgeInteractive(stock, mine []played) []publish.Row {
	s, o := tripsWithin(stock, actBegins+time.Second, actEnds), tripsWithin(mine, actBegins+time.Second, actEnds)
	return []publish.Row{
		{Quantity: "interactive: answer time from 1 s after the first path slows down, median", Unit: "ms", Stock: s.Median(), Ours: o.Median()},
		{Quantity: "interactive: the same, 95th percentile", Unit: "ms", Stock: s.Quantile(0.95), Ours: o.Quantile(0.95)},
	}
}

func judgeLazy(stock, mine []played) []publish.Row {
	before := func(p played) float64 { return p.before / 1e3 }
	took := func(p played) float64 { return p.took }
	return []publish.Row{
		{Quantity: "lazy: on the second path for a flow of 200 KB, median", Unit: "KB", Stock: over(stock, before).Median(), Ours: over(mine, before).Median()},
		{Quantity: "lazy: time of 8 MB over both, median", Unit: "s", Stock: over(stock, took).Median(), Ours: over(mine, took).Median()},
	}
}

// figures are throughput by path, or round-trip times, over time: the median of
// all runs, stock and ours in one figure each.
func (t act) figures(stock, mine []played) []publish.Figure {
	var out []publish.Figure
	for k, runs := range [][]played{stock, mine} {
		if len(runs) == 0 {
			continue
		}
		who, label := "stock", "stock full mesh"
		if k == 1 {
			who, label = "mpproxy", "mpproxy "+t.mode
		}
		f := publish.Figure{Name: t.name + "-" + who, Title: label + ": " + t.what, X: "time (s)", Y: "Mbit/s (median of runs)"}
		if t.round {
			f.Y = "answer after (ms)"
			f.Curves = []publish.Curve{tripCurve("median", runs, 0.5, publish.Blue), tripCurve("95th percentile", runs, 0.95, publish.Vermillion)}
		} else {
			f.Curves = []publish.Curve{pathCurve("first path", runs, 0, publish.Green), pathCurve("second path", runs, 1, publish.Vermillion)}
		}
		out = append(out, f)
	}
	return out
}

func pathCurve(label string, runs []played, path int, c color.Color) publish.Curve {
	out := publish.Curve{Label: label, Color: c}
	for i := 0; ; i++ {
		var at []float64
		for _, p := range runs {
			if i < len(p.paths[path]) {
				at = append(at, p.paths[path][i])
			}
		}
		if len(at) == 0 {
			return out
		}
		out.Points = append(out.Points, measure.Point{X: (time.Duration(i+1) * modeBin).Seconds(), Y: measure.NewDistribution(at).Median()})
	}
}

func tripCurve(label string, runs []played, q float64, c color.Color) publish.Curve {
	out := publish.Curve{Label: label, Color: c}
	const step = 250 * time.Millisecond
	for at := time.Duration(0); at < actOver; at += step {
		if d := tripsWithin(runs, at, at+step); d.Len() > 0 {
			out.Points = append(out.Points, measure.Point{X: at.Seconds(), Y: d.Quantile(q)})
		}
	}
	return out
}

// samples are the numbers behind the figures.
func (t act) samples(stock, mine []played) publish.Sheet {
	s := publish.Sheet{Name: t.name, Header: []string{"case", "run", "time_s", "first_path_mbps", "second_path_mbps", "answer_ms"}}
	for k, runs := range [][]played{stock, mine} {
		label := []string{"stock full mesh", "mpproxy " + t.mode}[k]
		for n, p := range runs {
			for i := range p.paths[0] {
				s.Add(label, n, (time.Duration(i+1) * modeBin).Seconds(), p.paths[0][i], p.paths[1][min(i, len(p.paths[1])-1)], publish.None)
			}
			for _, trip := range p.trips {
				s.Add(label, n, trip.X, publish.None, publish.None, trip.Y)
			}
		}
	}
	return s
}
