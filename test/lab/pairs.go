package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
)

// Pairs of links of which one may do harm: downloads over the better one alone,
// over both with the stock kernel's path manager, and over both with ours.
var pairsExperiment = experiment{
	name: "pairs", title: "harmful pairs: 44 pairs of links, the best path alone, stock MPTCP and ours",
	takes: 8 * time.Minute, run: pairs,
}

const (
	pairRuns  = 5 // of each pair and arm, one after the other
	pairWidth = 10
	pairSize  = 5_000_000
	goodRate  = 8 // Mbit/s
	// pairTolerance is how much below the best path a pair may be.
	pairTolerance = 0.95
)

// pair is a good path of 8 Mbit/s and 10 ms, and another one.
type pair struct {
	rate      float64 // Mbit/s
	delay     int     // ms one way
	loss      float64
	queue     int  // bytes
	startsBad bool // the other path is the first one: it has the default route
}

func (p pair) String() string {
	s := fmt.Sprintf("%g Mbit/s %d ms %g %% %d KB", p.rate, p.delay, 100*p.loss, p.queue/1000)
	if p.startsBad {
		s += " first"
	}
	return s
}

// allPairs is the sweep: rate ratios 1, 2 and 8, delay ratios 1, 6 and 20, with
// and without loss, shallow and deep queues; and the worst of them as the first
// path.
func allPairs() []pair {
	var all []pair
	for _, rate := range []float64{8, 4, 1} {
		for _, delay := range []int{10, 60, 200} {
			for _, loss := range []float64{0, 0.02} {
				for _, queue := range []int{25_000, 250_000} {
					all = append(all, pair{rate, delay, loss, queue, false})
				}
			}
		}
	}
	for _, p := range all {
		if p.rate < 8 && p.delay > 10 && p.loss > 0 {
			p.startsBad = true
			all = append(all, p)
		}
	}
	return all
}

// links returns both links, and the name of the good one.
func (p pair) links(seed uint64) ([]netns.LinkConfig, string) {
	good := netns.LinkConfig{Name: "good0", V4: true, Seed: seed, Params: link.Params{
		Rate: goodRate * link.Mbit, Delay: 10 * time.Millisecond, Queue: 100_000,
	}}
	other := netns.LinkConfig{Name: "other0", V4: true, Seed: seed + 1000, Params: link.Params{
		Rate: int64(p.rate * float64(link.Mbit)), Delay: time.Duration(p.delay) * time.Millisecond, Loss: p.loss, Queue: p.queue,
	}}
	if p.startsBad {
		return []netns.LinkConfig{other, good}, good.Name
	}
	return []netns.LinkConfig{good, other}, good.Name
}

// The arms of a pair.
const (
	armSingle = iota
	armStock
	armOurs
)

func pairs(ctx context.Context, l *lab) (result, error) {
	var cases tally[float64]
	var jobs []job
	for i, p := range allPairs() {
		for k := armSingle; k <= armOurs; k++ {
			if !l.wants(p.String()) {
				continue
			}
			jobs = append(jobs, func(ctx context.Context) error {
				rates, err := pairRun(ctx, l, p, k, uint64(i))
				if err != nil {
					return fmt.Errorf("%v: %w", p, err)
				}
				cases.add(pairCase(p, k), rates...)
				return nil
			})
		}
	}
	if err := l.batch(ctx, pairWidth, jobs); err != nil {
		return result{}, err
	}
	return pairsResult(l, &cases), nil
}

func pairCase(p pair, arm int) string { return fmt.Sprint(arm, " ", p) }

// pairRun downloads several times with one arm and returns goodputs in Mbit/s.
func pairRun(ctx context.Context, l *lab, p pair, which int, seed uint64) ([]float64, error) {
	links, good := p.links(seed)
	a := [...]arm{
		armSingle: {manager: "userspace", mode: "single", client: []string{"--path", good}},
		armStock:  stockFullMesh,
		armOurs:   ours("aggregate"),
	}[which]
	r, err := l.rig(ctx, a.config(links...))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	client, err := measure.HTTPClient(r, a.mode)
	if err != nil {
		return nil, err
	}
	var rates []float64
	for range l.count(pairRuns) {
		took, err := measure.Download(ctx, client, netns.DestinationName, pairSize, true)
		if err != nil {
			return nil, err
		}
		rates = append(rates, pairSize*8/1e6/took.Seconds())
	}
	return rates, nil
}

// judged are the medians of a pair.
type judged struct {
	pair
	single, stock, ours float64
}

// sum is what a sweep came to.
type sum struct {
	pairs, harmful, left      int     // pairs; slower than the best path alone with stock, with ours
	lost, recovered           float64 // Mbit/s below the best path with stock; of that won back
	good, spoilt              int     // pairs that stock does well; of these, made worse by more than 5 %
	worst, worstStock, spoils float64 // lowest share of the best path; lowest share of stock on good pairs
}

// judge compares ours and the stock kernel with the best path alone.
func judge(all []judged) sum {
	s := sum{pairs: len(all), worst: 1e9, worstStock: 1e9, spoils: 1e9}
	for _, j := range all {
		s.worst, s.worstStock = min(s.worst, j.ours/j.single), min(s.worstStock, j.stock/j.single)
		if j.ours < pairTolerance*j.single {
			s.left++
		}
		if j.stock < pairTolerance*j.single {
			s.harmful++
			s.lost += j.single - j.stock
			s.recovered += min(j.ours, j.single) - j.stock
			continue
		}
		s.good++
		s.spoils = min(s.spoils, j.ours/j.stock)
		if j.ours < pairTolerance*j.stock {
			s.spoilt++
		}
	}
	return s
}

func pairsResult(l *lab, cases *tally[float64]) result {
	samples := publish.Sheet{Header: []string{"pair", "first_path", "rate_mbps", "delay_ms", "loss", "queue_bytes", "arm", "run", "goodput_mbps"}}
	names := []string{"best path alone", "stock kernel", "mpproxy"}
	var medians []judged
	var relative [2][]float64
	for _, p := range allPairs() {
		if !l.wants(p.String()) {
			continue
		}
		var m [3]float64
		for k := range m {
			rates := cases.of(pairCase(p, k))
			m[k] = measure.NewDistribution(rates).Median()
			for n, v := range rates {
				samples.Add(p.String(), p.startsBad, p.rate, p.delay, p.loss, p.queue, names[k], n, v)
			}
			if k > armSingle {
				for _, v := range rates {
					relative[k-1] = append(relative[k-1], v/m[armSingle])
				}
			}
		}
		medians = append(medians, judged{p, m[0], m[1], m[2]})
	}
	s := judge(medians)
	res := result{rows: []publish.Row{
		{Quantity: fmt.Sprintf("pairs of %d below 95 %% of the best path alone", s.pairs), Stock: float64(s.harmful), Ours: float64(s.left), Aim: "0", Met: s.left == 0},
		{Quantity: "what the harmful pairs lost and ours won back", Unit: "%", Stock: 0, Ours: 100 * s.recovered / s.lost},
		{Quantity: "lowest share of the best path alone", Unit: "%", Stock: 100 * s.worstStock, Ours: 100 * s.worst, Aim: "≥ 95", Met: s.worst >= pairTolerance},
		{Quantity: fmt.Sprintf("of %d pairs good with stock, made worse by more than 5 %%", s.good), Stock: publish.None, Ours: float64(s.spoilt), Aim: "0", Met: s.spoilt == 0},
		{Quantity: "lowest share of stock's goodput on those", Unit: "%", Stock: 100, Ours: 100 * s.spoils},
	}}
	for i := range res.rows {
		res.rows[i].Runs = s.pairs * l.count(pairRuns)
	}
	res.figures, res.samples = pairFigures(relative, medians), []publish.Sheet{samples}
	return res
}

func pairFigures(relative [2][]float64, medians []judged) []publish.Figure {
	cdf := publish.Figure{
		Title: "Downloads over 44 pairs of links", X: "goodput / that of the best path alone", Y: "CDF",
		YMin: 0, YMax: 1,
		Curves: []publish.Curve{
			publish.CdfCurve("stock full mesh", measure.NewDistribution(relative[0]), publish.Orange, true),
			publish.CdfCurve("mpproxy aggregate", measure.NewDistribution(relative[1]), publish.Blue, false),
			publish.Vertical("best path alone", 1),
		},
	}
	each := publish.Figure{Name: "each", Title: "Each pair (median)", X: "stock / best path alone", Y: "mpproxy / best path alone"}
	c := publish.Curve{Dots: true, Color: publish.Blue, Label: "a pair"}
	for _, j := range medians {
		c.Points = append(c.Points, measure.Point{X: j.stock / j.single, Y: j.ours / j.single})
	}
	each.Curves = []publish.Curve{
		c,
		{Points: []measure.Point{{X: 0, Y: pairTolerance}, {X: 2, Y: pairTolerance}}, Color: publish.Grey, Dashed: true, Thin: true, Label: "95 % of the best path"},
		{Points: []measure.Point{{X: 0, Y: 0}, {X: 2, Y: 2}}, Color: publish.Grey, Thin: true, Label: "as stock"},
	}
	return []publish.Figure{cdf, each}
}
