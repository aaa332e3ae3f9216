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
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

const (
	// probeGap is how often a path is probed while there is doubt about it.
	probeGap = 60 * time.Millisecond
	// darkFor is how long probes may be unanswered before all connections of a
	// path are looked at: by then policies leave it though nothing is missing.
	darkFor = 1050 * time.Millisecond
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

// probe asks on the paths that a policy doubts, and on those that have failed
// and may work again.
func (e *Engine) probe(ctx context.Context, c *connection, paths []string, now time.Time) {
	if c.reg.Role == policy.Concentrator {
		return
	}
	for _, name := range paths {
		e.ask(ctx, c, name, probeGap, now)
	}
	for name, s := range e.states {
		switch {
		case s.Unproven(now):
			e.requalify(ctx, c, name, s, now)
		case !s.Sought(now):
		case s.Handshakes.Unanswered() < 2: // two tell that it is dark
			e.ask(ctx, c, name, probeGap, now)
		default:
			e.ask(ctx, c, name, pathstate.SeekGap, now)
		}
	}
}

// ask sends a probe unless one has just left.
func (e *Engine) ask(ctx context.Context, c *connection, name string, gap time.Duration, now time.Time) {
	p, local, remote, ok := e.probeWay(c, name)
	if !ok {
		return
	}
	s := e.stateOf(name)
	if p.Metered && s.Sought(now) || !s.Handshakes.Due(gap, now) {
		return
	}
	if unanswered := s.Handshakes.Leaves(now); s.Sought(now) && unanswered == 2 {
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
	ctx, cancel := context.WithTimeout(ctx, pathstate.ProbeWait)
	defer cancel()
	return e.prober.probe(ctx, iface, local, remote)
}

// probed takes the outcome of a probe.
func (e *Engine) probed(path string, rtt time.Duration, err error, now time.Time) {
	s := e.stateOf(path)
	if err != nil {
		e.log.Debug("a probe was not answered", "path", path, "error", err)
		s.ProbeMissed(now)
		e.publish()
		return
	}
	if s.ProbeAnswered(rtt, now) {
		e.publish()
	}
	e.tellNumbers(path, s)
	e.lookAtAll(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

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

const (
	// prodAfter is how long a subflow is quiet before the kernel asks for a sign of life
	// on it while there is doubt: the least that can be had.
	prodAfter = time.Second
	// prodFor is how long it goes on once no policy wants it any more.
	prodFor = 5 * time.Second
)

// prod has the kernel ask for signs of life while a policy wants it, and for a while
// longer, so that data that comes in bursts changes nothing.
func (e *Engine) prod(c *connection, wanted bool, now time.Time) {
	p, can := c.reg.Reader.(Prodder)
	before := c.prodded
	switch {
	case !can || c.unprodable:
		return
	case wanted:
		c.prodded = now.Add(prodFor)
	case !before.IsZero() && now.After(before):
		c.prodded = time.Time{}
	}
	var err error
	switch {
	case before.IsZero() && !c.prodded.IsZero():
		err = p.Prod(prodAfter)
	case !before.IsZero() && c.prodded.IsZero():
		err = p.Prod(0)
	}
	if err != nil {
		c.unprodable = true
		e.log.Debug("cannot ask for signs of life of a connection", "error", err)
	}
}
