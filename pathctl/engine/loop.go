package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/subflowbpf"
)

// inboxSize is how much may wait for the engine's goroutine. Who posts more waits.
const inboxSize = 4096

// loop is the engine's goroutine. It waits in one place only, for events of the
// kernel: no other goroutine has to be woken for them, which would be half of
// what the second subflow of a connection waits for (SMAPP section 4.5). The time
// of the next look is the deadline of that wait, and a post moves it to now.
func (e *Engine) loop(ctx context.Context) error {
	defer close(e.ended)
	defer e.probes.Wait()
	defer context.AfterFunc(ctx, e.wake)()
	for {
		e.takePosts()
		e.lookAtDue(ctx)
		planned, _ := e.queue.next()
		if err := e.events.SetDeadline(planned); err != nil {
			return fmt.Errorf("kernel events: %w", err)
		}
		// After the deadline was set, so that no post is overlooked.
		if ctx.Err() != nil {
			return nil
		}
		if len(e.inbox) > 0 {
			continue
		}
		waited := time.Now()
		ev, err := e.events.Next()
		now := time.Now()
		if !planned.IsZero() {
			e.noticeStandstill(later(planned, waited), now)
		}
		switch {
		case err == nil:
			e.takePosts() // what was left may be the registration of its connection
			e.onEvent(ctx, ev, now)
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, mptcppm.ErrEventsLost):
			e.lost.Add(1)
			e.log.Warn("events of the kernel were lost: reading every connection anew")
			e.missed()
			e.lookAtAll(now)
		case ctx.Err() != nil:
			return nil
		default:
			return fmt.Errorf("kernel events: %w", err)
		}
	}
}

// post hands f to the engine's goroutine, if that still runs.
func (e *Engine) post(ctx context.Context, f func(now time.Time)) {
	select {
	case e.inbox <- f:
		e.wake()
	case <-e.ended:
	case <-ctx.Done():
	}
}

// wake ends the wait of the engine's goroutine.
func (e *Engine) wake() { _ = e.events.SetDeadline(time.Unix(1, 0)) }

// takePosts does what was posted.
func (e *Engine) takePosts() {
	for range len(e.inbox) {
		(<-e.inbox)(time.Now())
	}
}

// lookAtDue looks at the connections whose time has come.
func (e *Engine) lookAtDue(ctx context.Context) {
	now := time.Now()
	for c := e.queue.due(now); c != nil; c = e.queue.due(now) {
		e.examine(ctx, c, now)
	}
}

// standstill is how much later than planned the engine may wake up. When it is
// later, the machine stood still or had no time for us, and what looks like the
// silence of paths may have been our own.
const standstill = 100 * time.Millisecond

// noticeStandstill takes note of a wake-up that came late.
func (e *Engine) noticeStandstill(planned, now time.Time) {
	if late := now.Sub(planned); late > standstill {
		e.awake = now
		e.log.Debug("woke up late: what was silent until now is not held against paths", "late", late)
	}
}

// receiveTimeouts reads timeout events until ctx is done.
func (e *Engine) receiveTimeouts(ctx context.Context) error {
	for ev, err := range e.watch.All(ctx) {
		switch {
		case err == nil:
			e.post(ctx, func(now time.Time) { e.onTimeout(ev, now) })
		case errors.Is(err, subflowbpf.ErrEventsLost):
			e.lost.Add(1)
			e.post(ctx, e.lookAtAll)
		case ctx.Err() != nil:
			return nil
		default:
			return fmt.Errorf("timeout events: %w", err)
		}
	}
	return nil
}
