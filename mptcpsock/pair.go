package mptcpsock

import (
	"fmt"
	"net/netip"
)

// A Pair is the two ends of a subflow. Both are IPv4 or both IPv6; IPv4
// addresses are unmapped.
type Pair struct{ Local, Remote netip.AddrPort }

// String gives the pair as "192.0.2.1:5000 → 198.51.100.1:443".
func (p Pair) String() string { return fmt.Sprintf("%v → %v", p.Local, p.Remote) }

// covers reports whether q is p, or what p can become: port 0 of the local end
// stands for any.
func (p Pair) covers(q Pair) bool {
	if p.Local.Port() == 0 {
		q.Local = netip.AddrPortFrom(q.Local.Addr(), 0)
	}
	return p == q
}
