package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// TestQueueAgainstSortedSlice does random things to a queue and to a slice.
func TestQueueAgainstSortedSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q queue
	var all, in []*connection // in: those of all that are in the queue
	for i := range 40 {
		c := newConnection(start)
		c.reg.Token = uapi.Token(i)
		all = append(all, c)
	}
	add := func(c *connection) {
		if !slices.Contains(in, c) {
			in = append(in, c)
		}
	}
	drop := func(c *connection) {
		in = slices.DeleteFunc(in, func(o *connection) bool { return o == c })
	}
	for step := range 20_000 {
		c := all[rng.IntN(len(all))]
		when := start.Add(time.Duration(rng.IntN(50)))
		switch rng.IntN(5) {
		case 0:
			q.schedule(c, when)
			add(c)
			if !c.look.Equal(when) {
				t.Fatalf("step %d: scheduled for %v, not %v", step, c.look, when)
			}
		case 1:
			before, was := c.look, slices.Contains(in, c)
			q.sooner(c, when)
			add(c)
			if was && c.look.After(before) {
				t.Fatalf("step %d: sooner put it off", step)
			}
			if (!was || when.Before(before)) && !c.look.Equal(when) {
				t.Fatalf("step %d: sooner did not move it", step)
			}
		case 2:
			q.remove(c)
			drop(c)
		default:
			if got := q.due(when); got != nil {
				if !slices.Contains(in, got) || got.look.After(when) {
					t.Fatalf("step %d: took out what is not due", step)
				}
				drop(got)
				if earlier := slices.ContainsFunc(in, func(o *connection) bool { return o.look.Before(got.look) }); earlier {
					t.Fatalf("step %d: an earlier one was left", step)
				}
			} else if slices.ContainsFunc(in, func(o *connection) bool { return !o.look.After(when) }) {
				t.Fatalf("step %d: one is due, and was not found", step)
			}
		}
		checkQueue(t, q, all, in)
	}
}

func checkQueue(t *testing.T, q queue, all, in []*connection) {
	t.Helper()
	if len(q) != len(in) {
		t.Fatalf("%d in the queue, want %d", len(q), len(in))
	}
	for _, c := range all {
		if there := slices.Contains(in, c); there && q[c.index] != c || !there && c.index != -1 {
			t.Fatalf("connection %v has index %d, in the queue %t", c.reg.Token, c.index, there)
		}
	}
	next, ok := q.next()
	if ok != (len(in) > 0) {
		t.Fatalf("next says %t of %d", ok, len(in))
	}
	if ok {
		first := slices.MinFunc(in, func(a, b *connection) int { return a.look.Compare(b.look) })
		if !next.Equal(first.look) {
			t.Fatalf("next at %v, want %v", next, first.look)
		}
	}
}
