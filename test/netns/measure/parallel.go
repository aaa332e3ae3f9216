package measure

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Repeat calls a function times times, at most atOnce at a time, and returns
// its results in the order of their numbers.
func Repeat[T any](ctx context.Context, times, atOnce int, fn func(ctx context.Context, i int) (T, error)) ([]T, error) {
	results := make([]T, times)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, atOnce))
	for i := range times {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			results[i], err = fn(ctx, i)
			return err
		})
	}
	return results, g.Wait()
}
