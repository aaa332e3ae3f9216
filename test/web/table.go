package main

import (
	"fmt"
	"math"
	"time"

	"mpproxy/test/netns/measure"
)

// figures are one table: ways by rows, kinds by columns.
type figures struct {
	name    string
	ways    []*way
	columns []string
	samples [][][]float64 // milliseconds, by way and column
}

func newTable(name string, ways []*way, columns ...string) *figures {
	f := &figures{name: name, ways: ways, columns: columns}
	for range ways {
		f.samples = append(f.samples, make([][]float64, len(columns)))
	}
	return f
}

func (f *figures) add(way, column int, took time.Duration) {
	s := &f.samples[way][column]
	*s = append(*s, measure.Millis(took))
}

func (f *figures) at(way, column int, q float64) float64 {
	return measure.NewDistribution(f.samples[way][column]).Quantile(q)
}

// best is the least of the direct ways.
func (f *figures) best(column int, q float64) float64 {
	best := math.NaN()
	for i, w := range f.ways {
		if v := f.at(i, column, q); w.direct && !(v >= best) {
			best = v
		}
	}
	return best
}

// print prints the median and the 99th percentile, each also as the ratio to the better
// of the direct ways.
func (f *figures) print() {
	fmt.Printf("  %-26s", f.name)
	for _, c := range f.columns {
		fmt.Printf("  %-36s", c+": p50, p99, ms (ratio)")
	}
	fmt.Println()
	for i, w := range f.ways {
		fmt.Printf("    %-24s", w.name)
		for c := range f.columns {
			for _, q := range []float64{0.5, 0.99} {
				v := f.at(i, c, q)
				fmt.Printf("  %7.0f (%4.2f)  ", v, v/f.best(c, q))
			}
			fmt.Print("   ")
		}
		fmt.Println()
	}
}
