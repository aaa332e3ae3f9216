package main

import (
	"errors"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format of the files

	"mpproxy/test/netns/measure"
)

// figure is a plot in its file.
type figure struct {
	name          string // of the file, without the experiment's name; may be empty
	title, x, y   string
	xMin, xMax    float64 // both 0: as the data are
	yMin, yMax    float64
	logX          bool
	curves        []curve
	height, width vg.Length // 0: 7 × 12 cm
}

// curve is one line, or cloud of dots, of a figure.
type curve struct {
	label  string
	points []measure.Point
	color  color.Color
	dashed bool
	dots   bool
	thin   bool
}

// Colours that people with colour blindness can tell apart (Okabe and Ito):
// stock in warm, ours in cool ones.
var (
	orange     = color.RGBA{230, 159, 0, 255}
	vermillion = color.RGBA{213, 94, 0, 255}
	purple     = color.RGBA{204, 121, 167, 255}
	yellow     = color.RGBA{180, 140, 20, 255}
	blue       = color.RGBA{0, 114, 178, 255}
	sky        = color.RGBA{86, 180, 233, 255}
	green      = color.RGBA{0, 158, 115, 255}
	navy       = color.RGBA{20, 40, 120, 255}
	grey       = color.RGBA{130, 130, 130, 255}
)

// palettes are those of the stock kernel and of ours.
var palettes = [2][]color.Color{
	{orange, vermillion, purple, yellow},
	{sky, blue, green, navy},
}

// cdfPoints bounds the corners of a staircase, so that files stay small.
const cdfPoints = 150

// cdfCurve is the empirical distribution function of d.
func cdfCurve(label string, d measure.Distribution, c color.Color, dashed bool) curve {
	return curve{label: label, points: d.CDF(cdfPoints), color: c, dashed: dashed}
}

// vertical is a line that marks a value.
func vertical(label string, x float64) curve {
	return curve{label: label, points: []measure.Point{{X: x, Y: 0}, {X: x, Y: 1}}, color: grey, dashed: true, thin: true}
}

func (f figure) save(path string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	p.Add(plotter.NewGrid())
	for _, c := range f.curves {
		if err := c.addTo(p); err != nil {
			return err
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.xMin != f.xMax {
		p.X.Min, p.X.Max = f.xMin, f.xMax
	}
	if f.yMin != f.yMax {
		p.Y.Min, p.Y.Max = f.yMin, f.yMax
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
func (f figure) check() error {
	all := []float64{f.xMin, f.xMax, f.yMin, f.yMax}
	for _, c := range f.curves {
		for _, q := range c.points {
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

func (c curve) addTo(p *plot.Plot) error {
	if len(c.points) == 0 {
		return nil
	}
	xys := make(plotter.XYs, len(c.points))
	for i, q := range c.points {
		xys[i] = plotter.XY{X: q.X, Y: q.Y}
	}
	if c.dots {
		s, err := plotter.NewScatter(xys)
		if err != nil {
			return err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: c.color, Radius: vg.Points(1.2), Shape: draw.CircleGlyph{}}
		p.Add(s)
		if c.label != "" {
			p.Legend.Add(c.label, s)
		}
		return nil
	}
	l, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	l.Color, l.Width = c.color, vg.Points(1.5)
	if c.thin {
		l.Width = vg.Points(0.8)
	}
	if c.dashed {
		l.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
	}
	p.Add(l)
	if c.label != "" {
		p.Legend.Add(c.label, l)
	}
	return nil
}
