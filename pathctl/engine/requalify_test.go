package engine

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// answersTo is a prober whose first n probes are answered.
type answersTo struct {
	n     int32
	asked atomic.Int32
}

func (a *answersTo) probe(context.Context, string, netip.Addr, netip.AddrPort) (time.Duration, error) {
	if a.asked.Add(1) > a.n {
		return 0, errors.New("no answer")
	}
	return ms(33), nil
}

func TestRequalification(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answered int32
		asked    int32
		unproven bool
		retry    time.Duration // after the back-off
	}{
		{"all answered", pathstate.RequalifyProbes, pathstate.RequalifyProbes, false, 0},
		{"the last is not", pathstate.RequalifyProbes - 1, pathstate.RequalifyProbes, true, pathstate.SeekGap},
		{"none is", 0, 1, true, pathstate.SeekGap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Handover)
			p := &answersTo{n: tt.answered}
			b.prober = p
			h := b.stateOf("lte0")
			h.Fail(pathstate.Lossy, "test", b.now, b.now)
			b.now = b.now.Add(firstWait(pathstate.Lossy))
			for range 2 { // the second while the first is under way
				b.probe(t.Context(), c, nil, b.now)
			}
			b.probes.Wait()
			(<-b.inbox)(b.now)
			if len(b.inbox) > 0 {
				t.Error("two proofs at a time")
			}
			if got := p.asked.Load(); got != tt.asked {
				t.Errorf("%d probes, want %d", got, tt.asked)
			}
			if h.Unproven(b.now) != tt.unproven || h.Retry(b.now) != tt.retry {
				t.Errorf("unproven %t, left alone for %v; want %t, %v", h.Unproven(b.now), h.Retry(b.now), tt.unproven, tt.retry)
			}
			h.Fail(pathstate.Lossy, "test", b.now.Add(time.Minute), b.now.Add(time.Minute))
			if !h.Unproven(b.now.Add(time.Minute)) {
				t.Error("the next failure needs no proof")
			}
		})
	}
}

// TestRequalificationOfAnotherTime: its outcome says nothing of a path that begins anew.
func TestRequalificationOfAnotherTime(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Handover)
	b.prober = &answersTo{}
	b.stateOf("lte0").Fail(pathstate.Lossy, "test", b.now, b.now)
	b.now = b.now.Add(firstWait(pathstate.Lossy))
	b.probe(t.Context(), c, nil, b.now)
	b.probes.Wait()
	clear(b.states)
	(<-b.inbox)(b.now)
	if got := b.stateOf("lte0").Retry(b.now); got != 0 {
		t.Errorf("left alone for %v", got)
	}
}

// TestRequalificationAfterSilence: a path that seemed dark, and answers a probe, has to prove
// itself before it is joined.
func TestRequalificationAfterSilence(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Handover)
	p := &answersTo{n: pathstate.RequalifyProbes}
	b.prober = p
	h := b.stateOf("lte0")
	h.Fail(pathstate.Dark, "test", b.now, b.now)
	b.probed("lte0", ms(33), nil, b.now)
	if !h.Unproven(b.now) || h.Retry(b.now) != 0 {
		t.Fatalf("unproven %t, left alone for %v; want a proof at once", h.Unproven(b.now), h.Retry(b.now))
	}
	b.probe(t.Context(), c, nil, b.now)
	b.probes.Wait()
	(<-b.inbox)(b.now)
	if got := p.asked.Load(); got != pathstate.RequalifyProbes || h.Unproven(b.now) {
		t.Errorf("%d probes, unproven %t; want %d and a proof", got, h.Unproven(b.now), pathstate.RequalifyProbes)
	}
}
