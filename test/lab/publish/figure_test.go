package publish

import (
	"math"
	"testing"

	"mpproxy/test/netns/measure"
)

func TestThin(t *testing.T) {
	points := make([]measure.Point, 100)
	if got := len(Thin(points, 30)); got != 30 {
		t.Errorf("%d points, want 30", got)
	}
	if got := len(Thin(points, 200)); got != 100 {
		t.Errorf("%d points, want all 100", got)
	}
}

func TestFigureWithoutNumbers(t *testing.T) {
	f := Figure{XMax: math.NaN()}
	if err := f.save(t.TempDir() + "/x.svg"); err == nil {
		t.Error("an axis that is no number was accepted")
	}
}
