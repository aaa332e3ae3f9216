package subopt

import (
	"fmt"
	"net/netip"
)

// A Match says which subflows a rule is for: those of the connection with the
// Cookie, or those with the port of Local, narrowed by what else is given. One
// of the two must be, so that a rule never touches other programs' connections.
type Match struct {
	// Cookie is the SO_COOKIE of the Multipath TCP socket, which it has from
	// its creation on; 0 is any. It stands for all subflows of the
	// connection, the first and later ones, opened by either side. An
	// accepted connection gets one of its own when it is asked for: it is of
	// use for further subflows.
	Cookie uint64
	// Local and Remote are the ends of the subflow, IPv4 addresses mapped or
	// not. An address that is invalid or unspecified is any, a port of 0 is
	// any. The subflows that a listener will accept have its port.
	Local, Remote netip.AddrPort
}

// A scope is what rules are looked up by: a cookie, or a port with portScope.
type scope uint64

// portScope is a bit that no cookie has: they are counted up from 1 for all
// processors together (sock_gen_cookie, include/linux/cookie.h).
const portScope scope = 1 << 63

func (m Match) scope() (scope, error) {
	switch {
	case scope(m.Cookie) >= portScope:
		return 0, fmt.Errorf("%w: cookie %#x", ErrInvalid, m.Cookie)
	case m.Cookie != 0:
		return scope(m.Cookie), nil
	case m.Local.Port() != 0:
		return portScope | scope(m.Local.Port()), nil
	}
	return 0, fmt.Errorf("%w: a rule needs a cookie or a local port", ErrInvalid)
}

// A pattern is compared with the ends of a subflow where mask has ones.
type pattern struct{ want, mask suboptEnds }

// patterns returns that of the rule for each IP version that may match. The
// error matches ErrInvalid.
func (m Match) patterns() (over map[bool]pattern, err error) {
	local, remote := given(m.Local.Addr()), given(m.Remote.Addr())
	if local.IsValid() && remote.IsValid() && local.Is4() != remote.Is4() {
		return nil, fmt.Errorf("%w: %v and %v are of different families", ErrInvalid, local, remote)
	}
	var p pattern
	p.want.Local, p.mask.Local = compared(local)
	p.want.Remote, p.mask.Remote = compared(remote)
	if n := m.Local.Port(); n != 0 {
		p.want.LocalPort, p.mask.LocalPort = n, 0xffff
	}
	if n := m.Remote.Port(); n != 0 {
		p.want.RemotePort, p.mask.RemotePort = n, 0xffff
	}
	over = make(map[bool]pattern)
	for _, ipv6 := range []bool{false, true} {
		if local.IsValid() && local.Is4() == ipv6 || remote.IsValid() && remote.Is4() == ipv6 {
			continue
		}
		p.want.setIPv6(ipv6)
		p.mask.Ipv6 = 1
		over[ipv6] = p
	}
	return over, nil
}

// given returns the address, without mapping, or an invalid one where it stands
// for any.
func given(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// compared returns an address and a mask of ones, or zeros where it is any.
func compared(a netip.Addr) (want, mask [16]byte) {
	if !a.IsValid() {
		return want, mask
	}
	for i := range mask {
		mask[i] = 0xff
	}
	return a.As16(), mask
}
