package serve

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"mpproxy/proxy/relay"
)

// How often peers misbehave is up to them. A scanner, or an application that tries again
// and again, must not fill the log.
const (
	noisePerSecond = 2
	noiseBurst     = 20
)

// Each connection that ends has a line. Where hundreds end each second nobody reads them,
// and writing the line cost a tenth of a short connection's time.
const (
	endsPerSecond = 20
	endsBurst     = 500
)

// noise logs lines up to a rate, and says with the next one how many were left
// out; at level debug it leaves out none. It is safe for concurrent use.
type noise struct {
	log     *slog.Logger
	limit   *rate.Limiter
	leftOut atomic.Uint64
}

func newNoise(log *slog.Logger, perSecond rate.Limit, burst int) *noise {
	return &noise{log: log, limit: rate.NewLimiter(perSecond, burst)}
}

func (n *noise) line(level slog.Level, msg string, attrs ...any) {
	leftOut, ok := n.allow(level)
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, leftOutKey, leftOut)
	}
	n.log.Log(context.Background(), level, msg, attrs...)
}

// leftOutKey is how a line says how many before it were left out.
const leftOutKey = "similar_lines_left_out"

// allow reports whether a line may be logged now, and how many were left out before it.
func (n *noise) allow(level slog.Level) (leftOut uint64, ok bool) {
	if !n.log.Enabled(context.Background(), level) {
		return 0, false
	}
	if !n.limit.Allow() && !n.log.Enabled(context.Background(), slog.LevelDebug) {
		n.leftOut.Add(1)
		return 0, false
	}
	return n.leftOut.Swap(0), true
}

// Noise logs a line about something that went wrong, unless there were too many lately.
func (s *Service) Noise(level slog.Level, msg string, attrs ...any) {
	s.noise.line(level, msg, attrs...)
}

// LogClosed says in one line what became of a connection. It is called often, and uses
// typed attributes because they allocate less.
func (s *Service) LogClosed(c *Connection, r relay.Result) {
	lines := s.ends
	if r.Err != nil {
		lines = s.noise
	}
	leftOut, ok := lines.allow(slog.LevelInfo)
	if !ok {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(
		attrs,
		slog.Uint64("id", c.ID), slog.String("destination", c.Destination.String()), slog.String("mode", c.Mode), slog.String("path", c.Path),
		slog.Uint64("sent_bytes", c.Counters.AToB.Load()), slog.Uint64("received_bytes", c.Counters.BToA.Load()),
		slog.Duration("duration", time.Since(c.Opened).Round(time.Millisecond)), slog.String("reason", r.Reason.String()),
	)
	if c.User != "" {
		attrs = append(attrs, slog.String("user", c.User))
	}
	if c.Rule != "" {
		attrs = append(attrs, slog.String("rule", c.Rule))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.Any("error", r.Err))
	}
	if leftOut > 0 {
		attrs = append(attrs, slog.Uint64(leftOutKey, leftOut))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "connection closed", attrs...)
}
