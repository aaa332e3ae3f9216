package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/names"
)

// dialRace connects to a name. It begins with the addresses that are there, and takes those
// in that come later.
type dialRace struct {
	connect func(context.Context, netip.AddrPort) (*net.TCPConn, error)
	port    uint16
	found   chan found
	ended   chan attempt

	waiting map[names.Family][]netip.Addr // not tried yet
	last    names.Family                  // of the last attempt
	unknown int                           // families that are being looked up
	running int                           // attempts
	due     bool                          // the next address is tried as soon as it is known
	tried   bool                          // some address was
	errs    []error
}

// found is what is known of a family.
type found struct {
	of    names.Family
	addrs []netip.Addr
	err   error
}

// attempt is what became of one address.
type attempt struct {
	conn *net.TCPConn
	err  error
}

func newDialRace(connect func(context.Context, netip.AddrPort) (*net.TCPConn, error), port uint16) *dialRace {
	return &dialRace{
		connect: connect, port: port, unknown: 2, waiting: map[names.Family][]netip.Addr{},
		found: make(chan found, 2), ended: make(chan attempt),
	}
}

// run returns the first connection. It waits for what is found of both families, and ends
// that with cancel, the end of ctx. When it returns, nothing of the race is left.
func (r *dialRace) run(ctx context.Context, cancel context.CancelFunc) (*net.TCPConn, error) {
	defer r.cleanUp(cancel)
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	next.Stop()
	for {
		select {
		case f := <-r.found:
			r.take(ctx, f, next)
		case <-next.C:
			if r.tried && r.running == 0 && !r.more() {
				return nil, mostTelling(r.errs)
			}
			r.due = !r.start(ctx, next)
		case a := <-r.ended:
			r.running--
			if a.err == nil {
				return a.conn, nil
			}
			r.errs = append(r.errs, a.err)
			if !r.start(ctx, next) && r.running == 0 {
				next.Reset(lastHope)
			}
		}
		if r.running == 0 && r.unknown == 0 && !r.more() {
			return nil, mostTelling(r.errs)
		}
	}
}

// take notes what was found of a family. IPv6 goes first, if it is not late (RFC 8305 §3).
func (r *dialRace) take(ctx context.Context, f found, next *time.Timer) {
	r.unknown--
	r.waiting[f.of] = f.addrs
	if f.err != nil {
		r.errs = append(r.errs, f.err)
	}
	switch {
	case !r.more(), r.running > 0 && !r.due:
	case r.unknown > 0 && f.of == names.IPv4 && !r.tried:
		next.Reset(resolutionDelay)
	default:
		r.start(ctx, next)
	}
}

// more reports whether an address waits for its turn.
func (r *dialRace) more() bool { return len(r.waiting[names.IPv4])+len(r.waiting[names.IPv6]) > 0 }

// start tries the next address, of the other family than the last one if there is one
// (RFC 8305 §4). It reports false if there is none at all.
func (r *dialRace) start(ctx context.Context, next *time.Timer) bool {
	of, other := names.IPv6, names.IPv4
	if r.last == names.IPv6 {
		of, other = other, of
	}
	if len(r.waiting[of]) == 0 {
		of = other
	}
	if len(r.waiting[of]) == 0 {
		return false
	}
	to := netip.AddrPortFrom(r.waiting[of][0], r.port)
	r.waiting[of], r.last = r.waiting[of][1:], of
	r.running++
	r.due, r.tried = false, true
	next.Reset(attemptDelay)
	go func() {
		conn, err := r.connect(ctx, to)
		r.ended <- attempt{conn, err}
	}()
	return true
}

// cleanUp waits for what is still under way, and closes what comes too late.
func (r *dialRace) cleanUp(cancel context.CancelFunc) {
	cancel()
	for ; r.running > 0; r.running-- {
		if a := <-r.ended; a.err == nil {
			_ = a.conn.Close()
		}
	}
	for ; r.unknown > 0; r.unknown-- {
		<-r.found
	}
}

// telling are the outcomes of addresses, that which tells most of the destination first.
var telling = []proxy.Outcome{
	proxy.ConnectionRefused, proxy.TTLExpired, proxy.HostUnreachable, proxy.NetworkUnreachable,
	proxy.GeneralFailure, proxy.NotAllowed,
}

// mostTelling returns the error that says most about a destination whose addresses have all
// failed. That a name has no address in one family says something only if nothing else does.
func mostTelling(errs []error) error {
	rank := func(err error) int {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			return len(telling) + 1
		}
		if i := slices.Index(telling, proxy.OutcomeOf(err)); i >= 0 {
			return i
		}
		return len(telling)
	}
	return slices.MinFunc(errs, func(a, b error) int { return rank(a) - rank(b) })
}
