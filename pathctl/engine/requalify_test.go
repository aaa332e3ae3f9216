package engine

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/pathctl/policy"
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

func TestProof(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answered int32
		asked    int32
		unproven bool
		retry    time.Duration // after the back-off
	}{
		{"all answered", proofProbes, proofProbes, false, 0},
		{"the last is not", proofProbes - 1, proofProbes, true, proofGap},
		{"none is", 0, 1, true, proofGap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, policy.Handover)
			p := &answersTo{n: tt.answered}
			b.prober = p
			h := b.healthOf("lte0")
			b.now = b.now.Add(h.fail(failedPoor, b.now, b.now))
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
			if h.unproven(b.now) != tt.unproven || h.retry(b.now) != tt.retry {
				t.Errorf("unproven %t, left alone for %v; want %t, %v", h.unproven(b.now), h.retry(b.now), tt.unproven, tt.retry)
			}
			h.fail(failedPoor, b.now.Add(time.Minute), b.now.Add(time.Minute))
			if !h.unproven(b.now.Add(time.Minute)) {
				t.Error("the next failure needs no proof")
			}
		})
	}
}

// TestProofOfAnotherTime: its outcome says nothing of a path that begins anew.
func TestProofOfAnotherTime(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, policy.Handover)
	b.prober = &answersTo{}
	b.now = b.now.Add(b.healthOf("lte0").fail(failedPoor, b.now, b.now))
	b.probe(t.Context(), c, nil, b.now)
	b.probes.Wait()
	clear(b.health)
	(<-b.inbox)(b.now)
	if got := b.healthOf("lte0").retry(b.now); got != 0 {
		t.Errorf("left alone for %v", got)
	}
}

// TestNoProof: a path that answers no probes at all is joined in the end, and one
// that could not be joined needs none.
func TestNoProof(t *testing.T) {
	var h health
	h.fail(failedPoor, start, start)
	if at := start.Add(seekTrust); h.unproven(at) {
		t.Error("waits for an answer for ever")
	}
	h.answers = true
	if at := start.Add(time.Hour); !h.unproven(at) {
		t.Error("probes are answered, and the path is joined without a proof")
	}
	h.established(start)
	if h.unproven(start) {
		t.Error("established, and not proven")
	}
	h = health{}
	h.fail(failedTimeout, start, start)
	if h.unproven(start) {
		t.Error("a path that is dark needs a proof")
	}
}

// TestProofAfterSilence: a path that seemed dark, and answers a probe, has to prove
// itself before it is joined.
func TestProofAfterSilence(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, policy.Handover)
	p := &answersTo{n: proofProbes}
	b.prober = p
	h := b.healthOf("lte0")
	h.fail(failedTimeout, b.now, b.now)
	b.probed("lte0", ms(33), nil, b.now)
	if !h.unproven(b.now) || h.retry(b.now) != 0 {
		t.Fatalf("unproven %t, left alone for %v; want a proof at once", h.unproven(b.now), h.retry(b.now))
	}
	b.probe(t.Context(), c, nil, b.now)
	b.probes.Wait()
	(<-b.inbox)(b.now)
	if got := p.asked.Load(); got != proofProbes || h.unproven(b.now) {
		t.Errorf("%d probes, unproven %t; want %d and a proof", got, h.unproven(b.now), proofProbes)
	}
}
