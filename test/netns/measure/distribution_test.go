package measure_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns/measure"
)

func TestDistribution(t *testing.T) {
	d := measure.NewDistribution([]float64{4, 1, 3, 2})
	for _, tt := range []struct {
		what      string
		got, want float64
	}{
		{"mean", d.Mean(), 2.5},
		{"median", d.Median(), 2.5},
		{"first quartile", d.Quantile(0.25), 1.75},
		{"least", d.Min(), 1},
		{"largest", d.Max(), 4},
		{"beyond the largest", d.Quantile(7), 4},
		{"share at most 2", d.ShareAtMost(2), 0.5},
		{"share at most 0", d.ShareAtMost(0), 0},
		{"share at most 9", d.ShareAtMost(9), 1},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

func TestDistributionEmpty(t *testing.T) {
	var d measure.Distribution
	if !math.IsNaN(d.Mean()) || !math.IsNaN(d.Median()) || !math.IsNaN(d.ShareAtMost(1)) {
		t.Errorf("numbers of nothing: %v %v %v", d.Mean(), d.Median(), d.ShareAtMost(1))
	}
	if d.CDF(10) != nil {
		t.Error("a curve of nothing")
	}
}

func TestCDF(t *testing.T) {
	got := measure.NewDistribution([]float64{2, 1, 2, 4}).CDF(100)
	want := []measure.Point{{1, 0}, {1, 0.25}, {2, 0.25}, {2, 0.5}, {2, 0.75}, {4, 0.75}, {4, 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCDFThinned(t *testing.T) {
	var samples []float64
	for i := range 1000 {
		samples = append(samples, float64(i))
	}
	got := measure.NewDistribution(samples).CDF(10)
	if len(got) > 21 {
		t.Errorf("%d corners for 10 steps", len(got))
	}
	if last := got[len(got)-1]; last != (measure.Point{X: 999, Y: 1}) {
		t.Errorf("the curve ends at %v", last)
	}
}
