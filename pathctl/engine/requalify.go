package engine

import (
	"context"
	"net/netip"
	"time"
)

// A path that works badly answers a single probe as often as not, and each time that
// it is joined in vain the connection waits for what is lost there. So it has to
// answer proofProbes of them, one after the other: at 30 % loss one path in 150 does,
// at 1 % four in five. Where it does not the next attempt is after proofGap. One that
// was dark may only have seemed so: when a probe is answered again it has to prove
// itself, too. A path on which nothing at all is answered is joined in the end:
// something on the way may answer joins and not probes.
const (
	proofProbes = 14
	proofPause  = 20 * time.Millisecond
	proofGap    = time.Second
)

// unproven reports whether a path was left for working badly or not at all, answers,
// and nobody knows that it has become good.
func (h *health) unproven(now time.Time) bool {
	if h.failures == 0 || !h.upSince.IsZero() || h.proven {
		return false
	}
	switch h.last {
	case failedPoor:
		return h.answers || now.Sub(h.failedAt) < seekTrust
	case failedTimeout:
		return h.answers
	}
	return false
}

// prove starts a proof of an unproven path where one is due.
func (e *Engine) prove(ctx context.Context, c *connection, name string, h *health, now time.Time) {
	p, local, remote, ok := e.probeWay(c, name)
	if !ok || p.Metered || h.proving || now.Before(h.until) {
		return
	}
	h.proving = true
	e.probes.Add(1)
	go e.awaitProof(ctx, name, p.Interface, local.Addr, remote)
}

// awaitProof probes until one is not answered, and hands the outcome to the engine's
// goroutine.
func (e *Engine) awaitProof(ctx context.Context, path, iface string, local netip.Addr, remote netip.AddrPort) {
	defer e.probes.Done()
	answers, rtt := 0, time.Duration(0)
	for ctx.Err() == nil && answers < proofProbes {
		took, err := e.probeFor(ctx, iface, local, remote)
		if err != nil {
			break
		}
		answers++
		rtt = took
		select {
		case <-time.After(proofPause):
		case <-ctx.Done():
		}
	}
	e.post(ctx, func(now time.Time) { e.proved(path, answers, rtt, now) })
}

// proved takes the outcome of a proof.
func (e *Engine) proved(path string, answers int, rtt time.Duration, now time.Time) {
	h := e.healthOf(path)
	if !h.proving { // the path has gone, or all was forgotten, meanwhile
		return
	}
	h.proving = false
	h.answers = h.answers || answers > 0
	h.proven = answers == proofProbes
	if !h.proven {
		e.log.Debug("a path has not proven itself", "path", path, "probes", proofProbes, "answered", answers)
		h.until = later(h.until, now.Add(proofGap))
	} else {
		e.answered(path, h, rtt, now)
	}
	e.publish(now)
	e.lookAtAll(now)
}
