package engine

import (
	"slices"
	"testing"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// prodded is a fakeReader whose connection can be prodded.
type prodded struct {
	*fakeReader
	after []time.Duration
}

func (p *prodded) Prod(after time.Duration) error {
	p.after = append(p.after, after)
	return nil
}

// onePath has the bench know dsl0 alone.
func (b *bench) onePath() { b.setPaths(twoPaths()[:1])(b.now) }

// TestForgottenOnTheOnlyPath: a subflow that gets no answers is replaced over the same
// path when a probe is answered there, whichever end sends, and the path is not blamed.
func TestForgottenOnTheOnlyPath(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(*SubflowReading)
	}{
		{"sending", func(s *SubflowReading) {
			s.TCP.BytesAcked = 100_000 // before
			s.TCP.Unacked, s.TCP.Backoff, s.TCP.RTO = 10, 2, time.Second
			s.TCP.LastDataReceived = time.Minute
		}},
		{"receiving", func(s *SubflowReading) { s.TCP.Probes, s.TCP.LastDataReceived = 1, 1200*time.Millisecond }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			b.onePath()
			b.prober = &answersTo{n: 100}
			c, r := b.steered(t, mode.Handover)
			b.pass(t, time.Second)
			tt.lose(&r.reading.Subflows[0])
			b.lookAtAll(b.now)
			b.pass(t, time.Second)
			b.probes.Wait()
			for len(b.inbox) > 0 {
				(<-b.inbox)(b.now)
			}
			b.pass(t, 500*time.Millisecond)
			if did := b.kernel.take(); !slices.Equal(did, []string{"create 5: 10.0.0.1 id 160 if 11 192.0.2.1:443"}) {
				t.Errorf("did %q", did)
			}
			if b.avoids("dsl0") || len(c.subflows) != 2 {
				t.Errorf("dsl0 is avoided: %v; %d subflows", b.avoids("dsl0"), len(c.subflows))
			}
		})
	}
}

// TestProd: the kernel is told when a policy begins to want signs of life, and when none
// has wanted them for a while.
func TestProd(t *testing.T) {
	b := newBench(t, policy.Client)
	c, r := b.steered(t, mode.Handover)
	end := &prodded{fakeReader: r}
	c.reg.Reader = end
	for _, step := range []struct {
		after  time.Duration
		wanted bool
		told   []time.Duration
	}{
		{0, false, nil},
		{0, true, []time.Duration{prodAfter}},
		{prodFor, true, nil},
		{prodFor, false, nil},
		{time.Millisecond, false, []time.Duration{0}},
		{0, false, nil},
	} {
		b.now = b.now.Add(step.after)
		end.after = nil
		if b.prod(c, step.wanted, b.now); !slices.Equal(end.after, step.told) {
			t.Errorf("%v later, wanted %v: told %v, want %v", step.after, step.wanted, end.after, step.told)
		}
	}
}
