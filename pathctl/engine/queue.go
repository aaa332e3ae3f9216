package engine

import (
	"container/heap"
	"time"
)

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
