package measure

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Together waits until all runs of a batch have called it as often, so that
// none is measured while another one sets up or tears down, which makes the
// whole machine stand still for moments. It returns early when ctx ends.
type Together func(ctx context.Context)

// Repeat calls a function times times, in batches of atOnce side by side, and
// returns its results in the order of their numbers. The function calls
// together when it is set up, and once it has measured; a batch of one does
// not wait.
func Repeat[T any](ctx context.Context, times, atOnce int, fn func(ctx context.Context, i int, together Together) (T, error)) ([]T, error) {
	results := make([]T, times)
	for from := 0; from < times; from += max(1, atOnce) {
		to := min(times, from+max(1, atOnce))
		g, ctx := errgroup.WithContext(ctx)
		b := &barrier{size: to - from, open: make(chan struct{})}
		for i := from; i < to; i++ {
			g.Go(func() (err error) {
				results[i], err = fn(ctx, i, b.wait)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return results, err
		}
	}
	return results, nil
}

// A barrier lets size callers pass at once, again and again.
type barrier struct {
	size int

	mu      sync.Mutex
	waiting int
	open    chan struct{} // closed and replaced when all are there
}

func (b *barrier) wait(ctx context.Context) {
	b.mu.Lock()
	open := b.open
	if b.waiting++; b.waiting == b.size {
		b.waiting, b.open = 0, make(chan struct{})
		close(open)
	}
	b.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
