package control

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/mptcppm"
)

// TestEvents: what a Controller tells is what the kernel says, in its order.
func TestEvents(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		events := p.conn.Events(ctx)
		id, err := p.conn.OpenSub(ctx, port0(here[1]), w.joinTarget(p, there[1]), Normal)
		must(t, err)
		pair, err := p.conn.SubTuple(id)
		must(t, err)
		must(t, p.conn.CloseSub(ctx, id))
		up, down := w.mine.of(t, mptcppm.EventSubflowEstablished, pair), w.mine.of(t, mptcppm.EventSubflowClosed, pair)
		want := []SubflowEvent{
			{Kind: SubflowEstablished, ID: id, IDKnown: true, Pair: pair, AddrID: up.RemoteID},
			{Kind: SubflowClosed, ID: id, IDKnown: true, Pair: pair, AddrID: down.RemoteID},
		}
		var got []SubflowEvent
		for e, err := range events { // until the connection is closed
			must(t, err)
			if got = append(got, e); len(got) == len(want) {
				must(t, p.conn.Close())
			}
		}
		if diff := cmp.Diff(want, got, comparePairs); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestEventsCompared: without a Controller the subflows are compared.
func TestEventsCompared(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		op, err := p.conn.begin("test", "")
		must(t, err)
		p.conn.attached.Store(nil) // as if there were none
		events := p.conn.Events(testContext(t))
		p.conn.attached.Store(op.attachment)
		id, err := p.conn.OpenSub(testContext(t), port0(here[1]), w.joinTarget(p, there[1]), Normal)
		must(t, err)
		got := collect(t, events, 1)
		if len(got) != 1 || got[0].Kind != SubflowEstablished || got[0].ID != id {
			t.Errorf("events %v, want subflow %d established", got, id)
		}
	})
}

// TestEventsCancelled: the end of the context is the last that is told.
func TestEventsCancelled(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, _, _ []netip.Addr) {
		ctx, cancel := context.WithCancel(t.Context())
		events := p.conn.Events(ctx)
		cancel()
		n := 0
		for _, err := range events {
			n++
			wantError(t, "the last event", err, context.Canceled)
		}
		if n != 1 {
			t.Errorf("%d events, want the error alone", n)
		}
	})
}

// collect reads events until n have come or there are no more.
func collect(t *testing.T, events func(func(SubflowEvent, error) bool), n int) (got []SubflowEvent) {
	t.Helper()
	for e, err := range events {
		must(t, err)
		if got = append(got, e); len(got) == n {
			break
		}
	}
	return got
}
