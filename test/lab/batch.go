package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// job is one run of one case. What could not be done for reasons of the
// harness is an error and ends the experiment; a transfer that fails is a
// result.
type job func(ctx context.Context) error

// batch does jobs in their order, so many at a time: cases that are compared
// stand next to each other, and run on the same machine in the same minute. Each
// has links of its own; what they share is the processor, which links this slow
// leave idle.
func (l *lab) batch(ctx context.Context, width int, jobs []job) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(width)
	l.progress.jobs(len(jobs))
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := j(ctx)
			l.progress.done()
			return err
		})
	}
	return g.Wait()
}
