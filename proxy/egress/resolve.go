package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/egress/names"
	"mpproxy/proxy/socks"
)

// resolvedError ends a leg on which an address was asked for, and not a connection. It
// carries the address.
type resolvedError struct{ addr netip.Addr }

func (e *resolvedError) Error() string { return "the name was looked up" }

// replyTo returns what a client is told when there is no connection.
func replyTo(err error) (proxy.Outcome, netip.AddrPort) {
	if r, ok := err.(*resolvedError); ok {
		return proxy.Succeeded, netip.AddrPortFrom(r.addr, 0)
	}
	return proxy.OutcomeOf(err), netip.AddrPortFrom(netip.Addr{}, uint16(proxy.LimitOf(err)))
}

// serve connects to the destination of a request, or looks its name up.
func (d *destinationDialer) serve(ctx context.Context, req *socks.Request) (*net.TCPConn, error) {
	if !req.Resolve {
		return d.dial(ctx, req.To)
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	addrs := []netip.Addr{req.To.Addr}
	if req.To.Name != "" {
		var err error
		if addrs, err = d.lookup(ctx, req.To.Name); err != nil {
			return nil, err
		}
	}
	known, err := d.around.Known(ctx)
	if err != nil {
		return nil, err
	}
	// An address that may not be connected to tells of the concentrator's own network.
	i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return d.rules.CheckAddr(a, known) == nil })
	if i < 0 {
		return nil, destination.ErrRefused
	}
	return nil, &resolvedError{addrs[i]}
}

// lookup returns the IPv4 addresses of a name, or else those of IPv6: what asks in this way
// mostly knows IPv4 alone.
func (d *destinationDialer) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := d.names.Lookup(ctx, name, names.IPv4)
	if err == nil {
		return addrs, nil
	}
	six, err6 := d.names.Lookup(ctx, name, names.IPv6)
	if err6 != nil {
		return nil, err
	}
	return six, nil
}
