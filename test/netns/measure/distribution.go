package measure

import (
	"math"
	"slices"
	"sort"
)

// Distribution is a set of samples of one quantity, sorted. The zero value is
// empty: its numbers are NaN.
type Distribution struct{ sorted []float64 }

// NewDistribution returns the distribution of samples, which it copies.
func NewDistribution(samples []float64) Distribution {
	s := slices.Clone(samples)
	slices.Sort(s)
	return Distribution{s}
}

// Len is the number of samples.
func (d Distribution) Len() int { return len(d.sorted) }

// Mean is the arithmetic mean.
func (d Distribution) Mean() float64 {
	sum := 0.0
	for _, v := range d.sorted {
		sum += v
	}
	return sum / float64(len(d.sorted))
}

// Median is the middle, of an even number the mean of the middle two.
func (d Distribution) Median() float64 { return d.Quantile(0.5) }

// Quantile returns the value below which a share q, 0 to 1, of the samples
// lies, interpolated between neighbours (Hyndman and Fan's type 7).
func (d Distribution) Quantile(q float64) float64 {
	n := len(d.sorted)
	if n == 0 {
		return math.NaN()
	}
	at := min(max(q, 0), 1) * float64(n-1)
	i := int(at)
	if i == n-1 {
		return d.sorted[i]
	}
	frac := at - float64(i)
	return d.sorted[i] + frac*(d.sorted[i+1]-d.sorted[i])
}

// Max is the largest sample.
func (d Distribution) Max() float64 { return d.Quantile(1) }

// Min is the smallest sample.
func (d Distribution) Min() float64 { return d.Quantile(0) }

// ShareAtMost is the share, 0 to 1, of samples that are not above x.
func (d Distribution) ShareAtMost(x float64) float64 {
	n := len(d.sorted)
	if n == 0 {
		return math.NaN()
	}
	return float64(sort.Search(n, func(i int) bool { return d.sorted[i] > x })) / float64(n)
}

// Point is one corner of a curve.
type Point struct{ X, Y float64 }

// CDF returns the corners of the empirical distribution function: a staircase
// from the smallest sample (share 0) to the largest (share 1). With more than
// most samples, evenly spaced ones stand for all; most is at least 2.
func (d Distribution) CDF(most int) []Point {
	n := len(d.sorted)
	if n == 0 {
		return nil
	}
	points := []Point{{d.sorted[0], 0}}
	steps := min(n, most)
	for k := 1; k <= steps; k++ {
		i := k*n/steps - 1 // the last sample of the k-th part
		last, share := points[len(points)-1], float64(i+1)/float64(n)
		if x := d.sorted[i]; x != last.X {
			points = append(points, Point{x, last.Y})
		}
		points = append(points, Point{d.sorted[i], share})
	}
	return points
}
