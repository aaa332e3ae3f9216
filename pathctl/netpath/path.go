package netpath

import (
	"net/netip"
	"slices"

	"mpproxy/pathctl/netpath/rtnl"
)

// State says whether a path can carry traffic, as far as interfaces, addresses
// and routes tell.
type State uint8

// The states of a path.
const (
	Down State = iota // Path.Reason says why
	Up
)

// String returns "up" or "down".
func (s State) String() string {
	if s == Up {
		return "up"
	}
	return "down"
}

// A Path is one way to the Internet, by an interface and a gateway, at the moment of
// a snapshot.
type Path struct {
	Name      string // unique within a snapshot; the selector's name, else the interface's, with @ and the gateway for a further one
	Interface string // or the selector's pattern when nothing matches it
	Index     int    // interface index, 0 when there is no such interface
	Rank      int    // from 1, the best; the selector's, else by route metric
	Ranked    bool   // the rank is the selector's
	Metered   bool
	Weak      bool // its Wi-Fi signal is below Selector.MinSignal: it ranks behind the others
	State     State
	Reason    string // why the path is down, in words; empty when it is up
	Warning   string // what may keep an up path from working and what to do; mostly empty
	// StrictFilter: rp_filter=1 is in effect on a path that is not the best
	// default route's. Without source routing it does not work.
	StrictFilter bool
	Addrs        []Addr // at most one of each family, IPv4 first; empty when down
	// Kept are former addresses that still exist, sorted: new connections do not
	// use them, those that began with them may.
	Kept []netip.Addr
	// OtherNames are the alternative names of the interface, and what it was called
	// before it was renamed.
	OtherNames []string

	// Bytes received and sent by the whole interface since it was made. They
	// are as old as the snapshot; Monitor.Counters reads fresh ones.
	RxBytes, TxBytes uint64
}

// Addr returns the path's address of the given family, and whether it has one.
func (p Path) Addr(f rtnl.Family) (Addr, bool) {
	i := slices.IndexFunc(p.Addrs, func(a Addr) bool { return rtnl.FamilyOf(a.Addr) == f })
	if i < 0 {
		return Addr{}, false
	}
	return p.Addrs[i], true
}

// Has reports whether a connection from an address uses the path.
func (p Path) Has(a netip.Addr) bool {
	return slices.Contains(p.Kept, a) || slices.ContainsFunc(p.Addrs, func(b Addr) bool { return a == b.Addr })
}

// An Addr is a source address of a path.
type Addr struct {
	Addr    netip.Addr
	Gateway netip.Addr // invalid on a point-to-point link; may be IPv6 for an IPv4 address (RFC 5549)
	Table   uint32     // our routing table for this address, 0 when source routing is not in place
}

func clonePaths(paths []Path) []Path {
	c := slices.Clone(paths)
	for i := range c {
		c[i].Addrs, c[i].Kept, c[i].OtherNames = slices.Clone(c[i].Addrs), slices.Clone(c[i].Kept), slices.Clone(c[i].OtherNames)
	}
	return c
}

// returned are the gateways that paths in after have and paths in before had not.
func returned(before, after []Path) []rtnl.Neighbour {
	old := gateways(before)
	return slices.DeleteFunc(gateways(after), func(n rtnl.Neighbour) bool { return slices.Contains(old, n) })
}

func gateways(paths []Path) (all []rtnl.Neighbour) {
	for _, p := range paths {
		for _, a := range p.Addrs {
			if a.Gateway.IsValid() {
				all = append(all, rtnl.Neighbour{Index: p.Index, Addr: a.Gateway})
			}
		}
	}
	return all
}
