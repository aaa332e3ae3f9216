package rtnl

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A System is what the kernel dumped, reduced to what decides: plain values, which are all
// that netpath's pure parts see of the kernel.
type System struct {
	Links     []Link
	Addrs     []Address
	Routes    []Route // of the main table, and what of other tables may be a way out (worthKeeping)
	Rules     []Rule  // all that are not ours
	RPFilter  map[int]int32
	Weak      map[int]bool // interfaces with too weak a signal
	OwnRules  []Rule       // tagged ours and in our range
	OwnRoutes []Route      // tagged ours and in our range
}

// RPFilterAll is the key of net.ipv4.conf.all.rp_filter in System.RPFilter
// (NETCONFA_IFINDEX_ALL, include/uapi/linux/netconf.h).
const RPFilterAll = -1

// A Link is an interface.
type Link struct {
	Index    int
	Name     string
	Flags    uint32 // IFF_*
	Master   int    // bridge, bond or VRF that it is a port of, 0: none
	Kind     string // of a virtual one, as the kernel calls it: "tun", "wireguard", …
	Hardware uint16 // ARPHRD_*
	MAC      string // hardware address, as bytes; empty: it has none
	Counters Counters

	Alternatives []string // further names of it (ip link property, Linux 5.5)
}

// An Address is one of an interface's.
type Address struct {
	Index int
	Addr  netip.Addr
	Bits  int    // length of the prefix that is on the link
	Scope uint8  // RT_SCOPE_*
	Flags uint32 // IFA_F_*
}

// A Route has one next hop.
type Route struct {
	Family   Family
	Table    uint32
	Dst      netip.Prefix
	Gateway  netip.Addr
	OIF      int
	Src      netip.Addr // RTA_PREFSRC
	Metric   uint32
	Protocol uint8
	Kind     uint8 // RTN_*
	Scope    uint8
	Flags    uint32 // RTNH_F_*
	Nexthop  uint32 // an object to be resolved, 0: none
	Limits   RouteLimits
}

func (r Route) IsDefault() bool { return r.Dst.Bits() == 0 }

// worthKeeping leaves out what is of no use in a snapshot: in tables other than the
// main one, all that is behind a gateway and no default route.
func (r Route) worthKeeping() bool {
	return r.Table == unix.RT_TABLE_MAIN || r.Dst.Bits() <= SuppressLength || !r.Gateway.IsValid() && r.Nexthop == 0
}

// RouteLimits are the metrics that a table of ours takes over from the default
// route that it stands for.
type RouteLimits struct {
	MTU, AdvMSS, InitCwnd, InitRwnd uint32
}

// A Rule is one of policy routing.
type Rule struct {
	Family   Family
	Priority uint32
	Src      netip.Prefix
	Table    uint32
	Protocol uint8
	Suppress int32 // ignore results with at most this prefix length; -1: none

	// Ours have none of these.
	Action     uint8 // FR_ACT_*; 0: look the table up
	Dst        netip.Prefix
	IIF, OIF   string
	Mark, Mask uint32
	Narrow     bool // it is about ports, protocols, users or types of service
	Inverted   bool // it is about all that does not match
}

// Counters are the byte counters of a path's interface since it was made.
type Counters struct {
	RxBytes, TxBytes uint64
}

// BelongsTo reports whether an address lies in one prefix with a gateway, which has
// then given or announced it: another gateway's provider may drop what comes from
// it (RFC 6724 section 5, rule 5.5).
func (a Address) BelongsTo(gateway netip.Addr) bool {
	p := netip.PrefixFrom(a.Addr, a.Bits)
	return gateway.IsValid() && p.IsValid() && p.Contains(gateway)
}

// IsWay reports whether a route leads out, and works.
func (r Route) IsWay() bool {
	return r.IsDefault() && r.Kind == unix.RTN_UNICAST && r.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) == 0
}

func (sys System) LinkName(index int) string {
	i := slices.IndexFunc(sys.Links, func(l Link) bool { return l.Index == index })
	if i < 0 {
		return fmt.Sprintf("interface %d", index)
	}
	return sys.Links[i].Name
}
