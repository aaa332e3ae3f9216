package publish

import (
	"errors"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgsvg"

	"mpproxy/test/netns/measure"
)

// Figure is a plot in its file.
type Figure struct {
	Name          string // of the file, without the experiment's name; may be empty
	Title, X, Y   string
	XMin, XMax    float64 // both 0: as the data are
	YMin, YMax    float64
	logX          bool
	Curves        []Curve
	height, width vg.Length // 0: 7 × 12 cm
}

// Curve is one line, or cloud of dots, of a figure.
type Curve struct {
	Label  string
	Points []measure.Point
	Color  color.Color
	Dashed bool
	Dots   bool
	Thin   bool
}

// Colours that people with colour blindness can tell apart (Okabe and Ito):
// stock in warm, ours in cool ones.
var (
	Orange     = color.RGBA{230, 159, 0, 255}
	Vermillion = color.RGBA{213, 94, 0, 255}
	purple     = color.RGBA{204, 121, 167, 255}
	yellow     = color.RGBA{180, 140, 20, 255}
	Blue       = color.RGBA{0, 114, 178, 255}
	Sky        = color.RGBA{86, 180, 233, 255}
	Green      = color.RGBA{0, 158, 115, 255}
	navy       = color.RGBA{20, 40, 120, 255}
	Grey       = color.RGBA{130, 130, 130, 255}
)

// Palettes are those of the stock kernel and of ours.
var Palettes = [2][]color.Color{
	{Orange, Vermillion, purple, yellow},
	{Sky, Blue, Green, navy},
}

// cdfPoints bounds the corners of a staircase, so that files stay small.
const cdfPoints = 150

// CdfCurve is the empirical distribution function of d.
func CdfCurve(label string, d measure.Distribution, c color.Color, dashed bool) Curve {
	return Curve{Label: label, Points: d.CDF(cdfPoints), Color: c, Dashed: dashed}
}

// Vertical is a line that marks a value.
func Vertical(label string, x float64) Curve {
	return Curve{Label: label, Points: []measure.Point{{X: x, Y: 0}, {X: x, Y: 1}}, Color: Grey, Dashed: true, Thin: true}
}

func (f Figure) save(path string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.Title, f.X, f.Y
	p.Add(plotter.NewGrid())
	for _, c := range f.Curves {
		if err := c.addTo(p); err != nil {
			return err
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.XMin != f.XMax {
		p.X.Min, p.X.Max = f.XMin, f.XMax
	}
	if f.YMin != f.YMax {
		p.Y.Min, p.Y.Max = f.YMin, f.YMax
	}
	if f.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	w, h := f.width, f.height
	if w == 0 {
		w = 14 * vg.Centimeter
	}
	if h == 0 {
		h = 8 * vg.Centimeter
	}
	p.Legend.Padding = vg.Points(2)
	return p.Save(w, h, path)
}

// check refuses what is no number: the library would look for ticks for ever.
func (f Figure) check() error {
	all := []float64{f.XMin, f.XMax, f.YMin, f.YMax}
	for _, c := range f.Curves {
		for _, q := range c.Points {
			all = append(all, q.X, q.Y)
		}
	}
	for _, v := range all {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("an axis or a point is not a finite number")
		}
	}
	return nil
}

func (c Curve) addTo(p *plot.Plot) error {
	if len(c.Points) == 0 {
		return nil
	}
	xys := make(plotter.XYs, len(c.Points))
	for i, q := range c.Points {
		xys[i] = plotter.XY{X: q.X, Y: q.Y}
	}
	if c.Dots {
		s, err := plotter.NewScatter(xys)
		if err != nil {
			return err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: c.Color, Radius: vg.Points(1.2), Shape: draw.CircleGlyph{}}
		p.Add(s)
		if c.Label != "" {
			p.Legend.Add(c.Label, s)
		}
		return nil
	}
	l, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	l.Color, l.Width = c.Color, vg.Points(1.5)
	if c.Thin {
		l.Width = vg.Points(0.8)
	}
	if c.Dashed {
		l.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
	}
	p.Add(l)
	if c.Label != "" {
		p.Legend.Add(c.Label, l)
	}
	return nil
}

// Scaled returns samples times a factor.
func Scaled(samples []float64, factor float64) []float64 {
	out := make([]float64, len(samples))
	for i, v := range samples {
		out[i] = v * factor
	}
	return out
}

// Thin leaves most points at the most, evenly.
func Thin(points []measure.Point, most int) []measure.Point {
	if len(points) <= most {
		return points
	}
	out := make([]measure.Point, 0, most)
	for i := range most {
		out = append(out, points[i*len(points)/most])
	}
	return out
}
