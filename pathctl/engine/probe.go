package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

// How often a path is probed, how many probes are under way on it at a time, and
// how long one waits for its answer: until the kernel would repeat the SYN (RFC
// 6298 section 2).
const (
	probeGap    = 60 * time.Millisecond
	probesAtOne = 3
	probeWait   = 900 * time.Millisecond
	// seekGap is how often a path that has failed is asked whether it works
	// again: then nobody has to wait for the end of its back-off.
	seekGap = time.Second
	// darkFor is how long probes may be unanswered before all connections of a
	// path are looked at: by then policies leave it though nothing is missing.
	darkFor = 1050 * time.Millisecond
	// seekTrust is how long unanswered probes keep a path from being joined:
	// something on the way may answer joins and not probes.
	seekTrust = 30 * time.Second
)

// prober asks the peer for any answer over a path.
type prober interface {
	// probe returns the round-trip time; ctx bounds it.
	probe(ctx context.Context, iface string, local netip.Addr, remote netip.AddrPort) (time.Duration, error)
}

// handshake is a prober by TCP's handshake, from the path's address and by its
// interface. The peer sees a connection that ends before it has asked for
// anything.
type handshake struct{}

func (handshake) probe(ctx context.Context, iface string, local netip.Addr, remote netip.AddrPort) (time.Duration, error) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)),
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), iface) }), err)
		},
	}
	d.SetMultipathTCP(false) // another connection would look for paths of its own
	begun := time.Now()
	conn, err := d.DialContext(ctx, "tcp", remote.String())
	rtt := time.Since(begun)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return rtt, nil // an answer, too
	}
	if err != nil {
		return 0, fmt.Errorf("probing %v from %v: %w", remote, local, err)
	}
	defer conn.Close()
	if exact, err := handshakeRTT(conn); err == nil && exact > 0 {
		rtt = exact
	}
	return rtt, nil
}

// handshakeRTT is what the kernel measured, without our own waiting for a CPU.
func handshakeRTT(conn net.Conn) (rtt time.Duration, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt, errors.Join(cerr, err)
}

// probing is what is known of a path from probes.
type probing struct {
	asked      time.Time // when the last one left
	underWay   int
	unanswered int       // since the last answer
	silentFrom time.Time // when the first of these left
	answeredAt time.Time // when the last answer came
}

// due reports whether another probe may leave.
func (p *probing) due(now time.Time, gap time.Duration) bool {
	return p.underWay < probesAtOne && now.Sub(p.asked) >= gap
}

func (p *probing) leaves(now time.Time) {
	p.asked = now
	p.underWay++
	if p.unanswered++; p.unanswered == 1 {
		p.silentFrom = now
	}
}

func (p *probing) answered(now time.Time) {
	p.unanswered, p.silentFrom, p.answeredAt = 0, time.Time{}, now
}

// disprove forgets unanswered probes when the path has since carried something.
func (p *probing) disprove(progress time.Time) {
	if p.unanswered > 0 && progress.After(p.silentFrom) {
		p.unanswered, p.silentFrom = 0, time.Time{}
	}
}

// view is what policies see: Path.Silent and Path.Answered.
func (p *probing) view(now time.Time) (silent, answered time.Duration) {
	if p.unanswered >= 2 {
		silent = now.Sub(p.silentFrom)
	}
	if !p.answeredAt.IsZero() {
		answered = max(now.Sub(p.answeredAt), 1)
	}
	return silent, answered
}

// probe asks on the paths that a policy doubts, and on those that have failed
// and may work again.
func (e *Engine) probe(ctx context.Context, c *connection, paths []string, now time.Time) {
	if c.reg.Role == policy.Concentrator {
		return
	}
	for _, name := range paths {
		e.ask(ctx, c, name, probeGap, now)
	}
	for name, h := range e.health {
		switch {
		case h.unproven(now):
			e.prove(ctx, c, name, h, now)
		case !h.sought():
		case h.probing.unanswered < 2: // two tell that it is dark
			e.ask(ctx, c, name, probeGap, now)
		default:
			e.ask(ctx, c, name, seekGap, now)
		}
	}
}

// sought reports whether a path is left alone for a failure that a probe can
// disprove.
func (h *health) sought() bool {
	return h.failures > 0 && h.upSince.IsZero() && h.last != failedPoor
}

// ask sends a probe unless one has just left.
func (e *Engine) ask(ctx context.Context, c *connection, name string, gap time.Duration, now time.Time) {
	p, local, remote, ok := e.probeWay(c, name)
	if !ok {
		return
	}
	h := e.healthOf(name)
	if p.Metered && h.sought() || !h.probing.due(now, gap) {
		return
	}
	h.probing.leaves(now)
	if h.sought() && h.probing.unanswered == 2 {
		// All who use the path learn from this one what has become of it.
		for _, o := range e.conns {
			e.queue.sooner(o, now.Add(darkFor))
		}
	}
	e.probes.Add(1)
	go e.awaitProbe(ctx, name, p.Interface, local.Addr, remote)
}

// probeWay returns a path that is up, and the ends of a probe on it.
func (e *Engine) probeWay(c *connection, name string) (p netpath.Path, local netpath.Addr, remote netip.AddrPort, ok bool) {
	if p, ok = e.pathNamed(name); !ok || p.State != netpath.Up {
		return p, local, remote, false
	}
	local, remote, ok = c.way(p)
	return p, local, remote, ok
}

// awaitProbe waits for the answer and hands it to the engine's goroutine.
func (e *Engine) awaitProbe(ctx context.Context, path, iface string, local netip.Addr, remote netip.AddrPort) {
	defer e.probes.Done()
	rtt, err := e.probeFor(ctx, iface, local, remote)
	e.post(ctx, func(now time.Time) { e.probed(path, rtt, err, now) })
}

// probeFor waits for the answer as long as it would not be that to a second SYN.
func (e *Engine) probeFor(ctx context.Context, iface string, local netip.Addr, remote netip.AddrPort) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	return e.prober.probe(ctx, iface, local, remote)
}

// probed takes the outcome of a probe.
func (e *Engine) probed(path string, rtt time.Duration, err error, now time.Time) {
	h := e.healthOf(path)
	h.probing.underWay = max(h.probing.underWay-1, 0) // the path may have gone and come back
	if err != nil {
		e.log.Debug("a probe was not answered", "path", path, "error", err)
		if h.sought() && now.Sub(h.failedAt) < seekTrust {
			h.until = later(h.until, now.Add(seekGap+probeWait)) // the next probe says more than a join would
		}
		return
	}
	e.answered(path, h, rtt, now)
	h.answers = h.answers || h.sought()
	if h.sought() && now.Before(h.until) {
		h.until, h.probeUntil = now, time.Time{}
		e.publish(now)
	}
	e.lookAtAll(now)
}

// answered takes a probe's answer into account.
func (e *Engine) answered(path string, h *health, rtt time.Duration, now time.Time) {
	h.probing.answered(now)
	h.rtt, h.rttAt = rtt, now // exact, and nothing of it is from before
	e.tellLatency(path, h)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
