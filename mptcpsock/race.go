package mptcpsock

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/pathctl/netpath"
)

// The ways to a peer are raced, each a little later than the one before it (RFC
// 8305 section 5, for paths as well as addresses). It is worth a longer wait to
// keep a metered path out.
const (
	raceDelay        = 250 * time.Millisecond
	raceDelayMetered = time.Second
	// maxAttempts bounds a race: a name with ten addresses over three paths.
	maxAttempts = 30
)

// attempt is one connect of a race.
type attempt struct {
	source  netip.AddrPort // invalid: the kernel chooses
	iface   string
	to      netip.AddrPort
	metered bool
}

// attempts are the ways to these destinations, the preferred one first: each
// source tries all of them before the next one does.
func attempts(sources []attempt, to []netip.AddrPort) (all []attempt) {
	if len(sources) == 0 {
		sources = []attempt{{}}
	}
	for _, s := range sources {
		for _, t := range to {
			if a := s.source.Addr(); a.IsValid() && a.Unmap().Is4() != t.Addr().Unmap().Is4() {
				continue
			}
			s.to = t
			all = append(all, s)
		}
	}
	return all[:min(len(all), maxAttempts)]
}

// sources are where the initial subflow may begin: what the fields say, else,
// for a steered connection, the paths, those in trouble last.
func (d *Dialer) sources(steered bool) (out []attempt) {
	if d.LocalAddr.IsValid() {
		return []attempt{{source: netip.AddrPortFrom(d.LocalAddr, 0), iface: d.Interface}}
	}
	for _, a := range d.LocalAddrs {
		out = append(out, attempt{source: a, iface: d.Interface})
	}
	if len(out) > 0 || !steered || d.Interface != "" {
		if len(out) == 0 && d.Interface != "" {
			out = append(out, attempt{iface: d.Interface})
		}
		return out
	}
	routed, _ := d.Controller.app.SourceRouting()
	paths := slices.Clone(d.Controller.Paths())
	slices.SortStableFunc(paths, func(a, b netpath.Path) int {
		return later(d.Controller.app.Troubled(a.Name)) - later(d.Controller.app.Troubled(b.Name))
	})
	for _, p := range paths {
		if len(d.Steering.Paths) > 0 && !slices.Contains(d.Steering.Paths, p.Name) {
			continue
		}
		for _, a := range p.Addrs {
			s := attempt{source: netip.AddrPortFrom(a.Addr, 0), metered: p.Metered}
			if !routed {
				s.iface = p.Interface
			}
			out = append(out, s)
		}
	}
	return out
}

func later(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

type raced struct {
	conn *Conn
	err  error
}

// race connects over the first way that answers. The error is that of the
// preferred way, or ctx's.
func (d *Dialer) race(ctx context.Context, ways []attempt, strict bool) (*Conn, error) {
	if len(ways) == 1 {
		return d.dialMapped(ctx, ways[0], strict)
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan raced, len(ways)) // room for all: no loser blocks
	running, next := 0, 0
	defer func() {
		cancel()
		for range running { // cancelled dials return at once
			if r := <-results; r.conn != nil {
				_ = r.conn.Close()
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var first error
	for next < len(ways) || running > 0 {
		select {
		case <-timer.C:
		case r := <-results:
			running--
			if r.err == nil {
				return r.conn, nil
			}
			if first == nil {
				first = r.err
			}
		}
		if next < len(ways) && ctx.Err() == nil {
			go d.try(ctx, ways[next], strict, results)
			running++
			if next++; next < len(ways) {
				timer.Reset(stagger(ways[next]))
			}
		} else if ctx.Err() != nil {
			next = len(ways)
		}
	}
	if first == nil {
		first = ctx.Err()
	}
	return nil, first
}

func (d *Dialer) try(ctx context.Context, way attempt, strict bool, results chan<- raced) {
	c, err := d.dialMapped(ctx, way, strict)
	if err == nil && strict {
		if err = c.mustBeMultipath(); err != nil {
			c = nil
		}
	}
	results <- raced{c, err}
}

func stagger(a attempt) time.Duration {
	if a.metered {
		return raceDelayMetered
	}
	return raceDelay
}

// DialHost connects to a host by its name, or by an address, and a port:
// "example.net:443" (RFC 6897 REQ5). Its addresses are raced, IPv6 and IPv4 in
// turn (RFC 8305), and so are the paths of a service. Otherwise it is as Dial;
// a name that has no address gives a *net.DNSError.
func (d *Dialer) DialHost(ctx context.Context, address string) (*Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "mptcp", Err: err}
	}
	fail := func(err error) (*Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "mptcp", Addr: hostAddr(address), Err: err}
	}
	r := d.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	n, err := r.LookupPort(ctx, "tcp", port)
	if err != nil {
		return fail(err)
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fail(err)
	}
	to := interleave(addrs, uint16(n))
	c, err := d.dialAny(ctx, to)
	if err != nil {
		return fail(reasonOfOp(err))
	}
	return c, nil
}

// hostAddr is the address of a peer that has a name.
type hostAddr string

func (hostAddr) Network() string  { return "mptcp" }
func (a hostAddr) String() string { return string(a) }

// interleave orders addresses: IPv6 and IPv4 in turn, each in the resolver's
// order (RFC 8305 section 4).
func interleave(addrs []netip.Addr, port uint16) (out []netip.AddrPort) {
	var six, four []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for i := range max(len(six), len(four)) {
		for _, family := range [][]netip.Addr{six, four} {
			if i < len(family) {
				out = append(out, netip.AddrPortFrom(family[i], port))
			}
		}
	}
	return out
}

// reasonOfOp takes the layer of package net off an error.
func reasonOfOp(err error) error {
	var inner *net.OpError
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}
