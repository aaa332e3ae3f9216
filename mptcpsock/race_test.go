package mptcpsock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// runner is the connection of one way of a race.
type runner struct {
	way    int
	closed *[]int // ways whose connections were closed
}

func (r *runner) Close() error {
	*r.closed = append(*r.closed, r.way)
	return nil
}

// entrant is a way of a race that ends after a time, if it may.
type entrant struct {
	delay time.Duration
	takes time.Duration // 0: longer than anybody waits
	err   error
	deaf  bool // does not notice that the race is over
}

func TestRace(t *testing.T) {
	const ms = time.Millisecond
	refused, down := errors.New("refused"), errors.New("down")
	for _, tt := range []struct {
		name   string
		ways   []entrant
		give   time.Duration // until ctx ends; 0: never
		won    int
		took   time.Duration
		errs   []error
		closed []int
	}{
		{name: "the first answers", ways: []entrant{{takes: 30 * ms}, {takes: ms}}, won: 0, took: 30 * ms, errs: []error{nil, ErrNotTried}},
		{name: "the first is silent", ways: []entrant{{}, {takes: 30 * ms}}, won: 1, took: 280 * ms, errs: []error{ErrNoAnswer, nil}},
		{name: "the first is refused", ways: []entrant{{takes: 10 * ms, err: refused}, {takes: 30 * ms}}, won: 1, took: 40 * ms, errs: []error{refused, nil}},
		{name: "a delay of its own", ways: []entrant{{}, {delay: time.Second, takes: 30 * ms}}, won: 1, took: 1030 * ms, errs: []error{ErrNoAnswer, nil}},
		{name: "a short delay", ways: []entrant{{takes: 100 * ms}, {delay: 20 * ms, takes: 30 * ms}}, won: 1, took: 50 * ms, errs: []error{ErrNoAnswer, nil}},
		{
			name: "the second is slower, and succeeds all the same", ways: []entrant{{takes: 300 * ms}, {takes: 100 * ms, deaf: true}},
			won: 0, took: 300 * ms, errs: []error{nil, ErrNoAnswer}, closed: []int{1},
		},
		{
			name: "of three that are slower one fails", ways: []entrant{
				{takes: 300 * ms}, {delay: ms, takes: 400 * ms, deaf: true}, {delay: ms, takes: 410 * ms, deaf: true}, {delay: ms, takes: 500 * ms, err: down, deaf: true},
			},
			won: 0, took: 300 * ms, errs: []error{nil, ErrNoAnswer, ErrNoAnswer, ErrNoAnswer}, closed: []int{1, 2},
		},
		{name: "all fail", ways: []entrant{{takes: 400 * ms, err: refused}, {takes: 10 * ms, err: down}}, won: -1, took: 400 * ms, errs: []error{refused, down}},
		{name: "out of time", ways: []entrant{{takes: 10 * ms, err: refused}, {}, {}}, give: 100 * ms, won: -1, took: 100 * ms, errs: []error{refused, ErrNoAnswer, ErrNotTried}},
		{name: "fails of the deadline", ways: []entrant{{takes: 100 * ms, err: context.DeadlineExceeded, deaf: true}}, give: 100 * ms, won: -1, took: 100 * ms, errs: []error{ErrNoAnswer}},
		{name: "nobody", won: -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.give > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.give)
					defer cancel()
				}
				var closed []int
				begin := time.Now()
				conn, won, errs := Race(ctx, len(tt.ways),
					func(i int) time.Duration { return tt.ways[i].delay },
					func(ctx context.Context, i int) (*runner, error) { return tt.ways[i].run(ctx, &runner{i, &closed}) })
				if took := time.Since(begin); won != tt.won || took != tt.took {
					t.Errorf("way %d won after %v, want %d after %v", won, took, tt.won, tt.took)
				}
				if won >= 0 && conn.way != won {
					t.Errorf("the connection is that of way %d, way %d won", conn.way, won)
				}
				if diff := cmp.Diff(tt.errs, errs, cmpopts.EquateErrors(), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
				time.Sleep(time.Second) // until the deaf have come in
				synctest.Wait()
				if diff := cmp.Diff(tt.closed, closed); diff != "" {
					t.Errorf("closed connections (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func (e entrant) run(ctx context.Context, conn *runner) (*runner, error) {
	end := make(<-chan time.Time)
	if e.takes > 0 {
		end = time.After(e.takes)
	}
	over := ctx.Done()
	if e.deaf {
		over = nil
	}
	select {
	case <-end:
		return conn, e.err
	case <-over:
		return nil, ctx.Err()
	}
}
