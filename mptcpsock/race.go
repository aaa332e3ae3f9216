package mptcpsock

import (
	"context"
	"errors"
	"io"
	"time"
)

// DefaultRaceDelay is how long Race gives one way alone before the next one
// begins: 250 ms, as RFC 8305 section 5 recommends for addresses.
const DefaultRaceDelay = 250 * time.Millisecond

var (
	// ErrNotTried says that a race ended before a way was tried.
	ErrNotTried = errors.New("not tried")
	// ErrNoAnswer says that a race ended while a way had neither succeeded nor
	// failed.
	ErrNoAnswer = errors.New("no answer yet")
)

// Race tries n ways to connect until one succeeds. Way 0 begins at once. Each
// other way i begins delay(i) after the one before it, or earlier, when a way
// has failed; a delay of 0 stands for DefaultRaceDelay. The race ends with the
// first success, with the failure of all ways, or with ctx.
//
// try should do all that it takes to know that the way is good, for instance a
// handshake with the peer's program behind that of TCP. It must return soon after
// its context ends; that of the winner ends with the race, too, and must not
// matter to what it has returned. Connections of ways that succeed later are
// closed.
//
// Race returns the winner's connection and number, or -1. errs has an entry for
// each way: nil for the winner, ErrNotTried, ErrNoAnswer, or what its try has
// returned. After the end of ctx a failure counts as ErrNoAnswer: it says nothing
// about the way.
func Race[C io.Closer](ctx context.Context, n int, delay func(i int) time.Duration, try func(ctx context.Context, i int) (C, error)) (conn C, won int, errs []error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs = make([]error, n)
	for i := range errs {
		errs[i] = ErrNotTried
	}
	results := make(chan result[C], n) // room for all: no loser blocks
	begun, running := 0, 0
	defer func() {
		if running > 0 {
			go closeLosers(results, running)
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	for begun < n || running > 0 {
		select {
		case <-ctx.Done():
			return conn, -1, errs
		case <-next.C:
		case r := <-results:
			running--
			if r.err == nil {
				errs[r.way] = nil
				return r.conn, r.way, errs
			}
			if over(ctx) {
				return conn, -1, errs
			}
			errs[r.way] = r.err
		}
		if begun < n {
			go attempt(ctx, begun, try, results)
			errs[begun] = ErrNoAnswer
			running++
			if begun++; begun < n {
				next.Reset(delayOrDefault(delay(begun)))
			}
		}
	}
	return conn, -1, errs
}

func delayOrDefault(d time.Duration) time.Duration {
	if d == 0 {
		return DefaultRaceDelay
	}
	return d
}

// result is how one way ended.
type result[C any] struct {
	way  int
	conn C
	err  error
}

func attempt[C any](ctx context.Context, i int, try func(context.Context, int) (C, error), results chan<- result[C]) {
	conn, err := try(ctx, i)
	results <- result[C]{i, conn, err}
}

// over reports whether ctx has ended. A dial notices a deadline a moment before
// its context does; over waits for that moment.
func over(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// closeLosers closes the connections of ways that succeeded after the race.
func closeLosers[C io.Closer](results <-chan result[C], n int) {
	for range n {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
