package engine

import (
	"container/heap"
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

// queue orders connections by when they are to be looked at.
type queue []*connection

// schedule sets the look at c to t, whatever was planned before.
func (q *queue) schedule(c *connection, t time.Time) {
	c.look = t
	if c.index < 0 {
		heap.Push(q, c)
		return
	}
	heap.Fix(q, c.index)
}

// sooner moves the look at c forward to t, never back.
func (q *queue) sooner(c *connection, t time.Time) {
	if c.index < 0 || t.Before(c.look) {
		q.schedule(c, t)
	}
}

func (q *queue) remove(c *connection) {
	if c.index >= 0 {
		heap.Remove(q, c.index)
	}
}

// next returns when the first connection is due; ok is false when there is
// none.
func (q queue) next() (t time.Time, ok bool) {
	if len(q) == 0 {
		return time.Time{}, false
	}
	return q[0].look, true
}

// due takes the first connection out if its time has come.
func (q *queue) due(now time.Time) *connection {
	if len(*q) == 0 || now.Before((*q)[0].look) {
		return nil
	}
	return heap.Pop(q).(*connection)
}

// The methods of heap.Interface.

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].look.Before(q[j].look) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds x; it is for package heap.
func (q *queue) Push(x any) {
	c := x.(*connection)
	c.index = len(*q)
	*q = append(*q, c)
}

// Pop removes the last one; it is for package heap.
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	c.index = -1
	return c
}

// woke brings everything up to date after the machine has slept. What was held
// against a path is from another time, and maybe another place. Subflows may
// have ended at the other end meanwhile: looking often for a while shows it.
func (e *Engine) woke(asleep time.Duration) func(time.Time) {
	return func(now time.Time) {
		e.decide(nil, ActionPath, "all", ReasonResumed, fmt.Sprintf("the machine has slept for %s: looking at everything anew", asleep.Round(time.Second)))
		clear(e.states)
		e.publish()
		for _, c := range e.conns {
			c.memory.Notes, c.memory.Watches = nil, nil
			c.urgent, c.quiet = true, 0
		}
		e.lookAtAll(now)
	}
}
