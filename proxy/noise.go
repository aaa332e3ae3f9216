package proxy

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Lines about peers that do not behave come at the rate that peers like: a
// scanner, or an application that tries again and again, must not fill the
// log.
const (
	noisePerSecond = 2
	noiseBurst     = 20
)

// Each connection has its line when it ends, but where there are hundreds a second
// nobody reads them, and writing them cost a tenth of a short one.
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
