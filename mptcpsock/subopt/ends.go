package subopt

import (
	"fmt"
	"net/netip"
)

// endsOf returns the two ends of a subflow as the programs compare them: in one
// form for all kinds of sockets, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2).
// The error matches ErrInvalid.
func endsOf(local, remote netip.AddrPort) (e suboptEnds, ipv6 bool, err error) {
	l, r := local.Addr().Unmap(), remote.Addr().Unmap()
	if !l.IsValid() || !r.IsValid() || l.Is4() != r.Is4() || local.Port() == 0 || remote.Port() == 0 {
		return suboptEnds{}, false, fmt.Errorf("%w: want two addresses of one family, with ports", ErrInvalid)
	}
	e = suboptEnds{
		Local: l.As16(), LocalPort: local.Port(),
		Remote: r.As16(), RemotePort: remote.Port(),
	}
	e.setIPv6(r.Is6())
	return e, r.Is6(), nil
}

func (e *suboptEnds) setIPv6(ipv6 bool) {
	e.Ipv6 = 0
	if ipv6 {
		e.Ipv6 = 1
	}
}
