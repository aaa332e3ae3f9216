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

// noise logs lines up to a rate, and says with the next one how many were left
// out. It is safe for concurrent use.
type noise struct {
	log     *slog.Logger
	limit   *rate.Limiter
	leftOut atomic.Uint64
}

func newNoise(log *slog.Logger) *noise {
	return &noise{log: log, limit: rate.NewLimiter(noisePerSecond, noiseBurst)}
}

func (n *noise) line(level slog.Level, msg string, attrs ...any) {
	if !n.log.Enabled(context.Background(), level) {
		return
	}
	if !n.limit.Allow() {
		n.leftOut.Add(1)
		return
	}
	if left := n.leftOut.Swap(0); left > 0 {
		attrs = append(attrs, "similar_lines_left_out", left)
	}
	n.log.Log(context.Background(), level, msg, attrs...)
}
