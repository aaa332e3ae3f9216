package engine

import (
	"context"
	"net/netip"
	"time"

	"mpproxy/pathctl/pathstate"
)

// requalifyPause lies between two probes of a requalification.
const requalifyPause = 20 * time.Millisecond

// requalify begins to probe an unproven path where that is due. A path that works
// badly answers a single probe as often as not, and each time that it is joined in vain
// the connection waits for what is lost there: it has to answer several in a row.
func (e *Engine) requalify(ctx context.Context, c *connection, name string, s *pathstate.State, now time.Time) {
	p, local, remote, ok := e.probeWay(c, name)
	if !ok || p.Metered || e.requalifying[name] == s || s.Waits(now) {
		return
	}
	e.requalifying[name] = s
	e.probes.Add(1)
	go e.awaitRequalification(ctx, name, s, p.Interface, local.Addr, remote)
}

// awaitRequalification probes until one probe is not answered, and hands the outcome to
// the engine's goroutine. Only that one uses s.
func (e *Engine) awaitRequalification(ctx context.Context, path string, s *pathstate.State, iface string, local netip.Addr, remote netip.AddrPort) {
	defer e.probes.Done()
	answers, rtt := 0, time.Duration(0)
	for ctx.Err() == nil && answers < pathstate.RequalifyProbes {
		took, err := e.probeFor(ctx, iface, local, remote)
		if err != nil {
			break
		}
		answers++
		rtt = took
		select {
		case <-time.After(requalifyPause):
		case <-ctx.Done():
		}
	}
	e.post(ctx, func(now time.Time) { e.requalified(path, s, answers, rtt, now) })
}

// requalified takes the outcome. It says nothing about a path that has gone, or of
// which all was forgotten, meanwhile.
func (e *Engine) requalified(path string, s *pathstate.State, answers int, rtt time.Duration, now time.Time) {
	if e.requalifying[path] == s {
		delete(e.requalifying, path)
	}
	if e.states[path] != s {
		return
	}
	qualified, recovered := s.Requalified(answers, rtt, now)
	if !qualified {
		e.log.Debug("a path has not requalified", "path", path, "probes", pathstate.RequalifyProbes, "answered", answers)
	}
	e.recovered(nil, path, recovered, "it answers every probe", now)
	e.publish()
	e.lookAtAll(now)
}
