// Package metrics shows a running program's counts and measures to Prometheus.
//
//	registry, err := metrics.New(modes, collect)
//	http.Handle("GET /metrics", metrics.Handler(registry, log))
//
// Nothing is kept here: each scrape takes one Snapshot and shows it. Label values
// are bounded: modes are those of the configuration, paths at most maxPaths,
// actions and reasons what the controller knows; what goes beyond is counted
// under "other".
//
// It is the only package that knows Prometheus; it knows neither sockets nor the
// controller.
package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxPaths bounds the values of the label path.
	maxPaths = 32
	// collectTimeout bounds taking a snapshot: the controller may be busy.
	collectTimeout = 3 * time.Second
	// maxScrapes bounds how many scrapes are answered at a time.
	maxScrapes = 4
)

// Bounds are the values that labels may have.
type Bounds struct {
	Modes, Actions, Reasons []string
}

// New returns a registry that shows what snapshot returns, the process and its Go runtime.
func New(b Bounds, snapshot func(context.Context) (Snapshot, error)) (*prometheus.Registry, error) {
	c := &collector{bounds: b, snapshot: snapshot, look: prometheus.NewDesc(ControllerLooks,
		"Time that the controller's goroutine took for a look at a connection, decisions and their execution included.", nil, nil)}
	for i := range table {
		c.descs = append(c.descs, table[i].desc())
	}
	r := prometheus.NewRegistry()
	for _, col := range []prometheus.Collector{c, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector()} {
		if err := r.Register(col); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return r, nil
}

// Handler answers scrapes.
func Handler(r *prometheus.Registry, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.HTTPErrorOnError,
	})
}

// collector is a prometheus.Collector.
type collector struct {
	bounds   Bounds
	snapshot func(context.Context) (Snapshot, error)
	descs    []*prometheus.Desc // of table
	look     *prometheus.Desc
}

// Describe sends what Collect may send.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
	to <- c.look
}

// Collect takes a snapshot and shows it.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	s, err := c.snapshot(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i := range table {
		c.show(to, &s, &table[i], c.descs[i])
	}
	to <- prometheus.MustNewConstSummary(c.look, s.Looks, s.LookTime.Seconds(), nil)
}

// show sends one metric. What has the same labels after bounding is added up.
func (c *collector) show(to chan<- prometheus.Metric, s *Snapshot, m *metric, d *prometheus.Desc) {
	type sum struct {
		labels []string
		value  float64
	}
	sums := make(map[string]*sum)
	paths := bounded{}
	m.read(s, func(v float64, labels ...string) {
		for i, name := range m.labels {
			labels[i] = c.bound(name, labels[i], &paths)
		}
		key := strings.Join(labels, "\x00")
		if sums[key] == nil {
			sums[key] = &sum{labels: slices.Clone(labels)}
		}
		sums[key].value += v
	})
	for _, x := range sums {
		to <- prometheus.MustNewConstMetric(d, m.kind, x.value, x.labels...)
	}
}

// bound returns the value of a label that is shown for a value.
func (c *collector) bound(label, value string, paths *bounded) string {
	known := []string(nil)
	switch label {
	case labelPath:
		return paths.value(value)
	case labelMode:
		known = c.bounds.Modes
	case labelAction:
		known = c.bounds.Actions
	case labelReason:
		known = c.bounds.Reasons
	default:
		return value
	}
	if slices.Contains(known, value) {
		return value
	}
	return other
}

// bounded lets the first maxPaths values pass. A name that is no text is not
// shown: Prometheus would refuse the scrape.
type bounded struct{ seen []string }

func (b *bounded) value(v string) string {
	switch {
	case slices.Contains(b.seen, v):
	case len(b.seen) >= maxPaths:
		return other
	default:
		b.seen = append(b.seen, v)
	}
	return strings.ToValidUTF8(v, "?")
}
