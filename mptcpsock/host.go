package mptcpsock

import (
	"context"
	"net"
	"net/netip"
)

// lookup resolves "host:port" into addresses, in the order in which they are
// tried.
func (d *Dialer) lookup(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	r := d.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	n, err := r.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	return interleave(addrs, uint16(n)), err
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
