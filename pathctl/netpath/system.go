package netpath

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// What the kernel dumped, reduced to what decides. All of these are plain
// values; the pure parts of this package see nothing else of the kernel.

type system struct {
	links     []link
	addrs     []address
	routes    []route // of the main table, and what of other tables may be a way out (worthKeeping)
	rules     []rule  // all that are not ours
	rpFilter  map[int]int32
	weak      map[int]bool // interfaces with too weak a signal
	ownRules  []rule       // tagged ours and in our range
	ownRoutes []route      // tagged ours and in our range
}

// rpFilterAll is the key of net.ipv4.conf.all.rp_filter in system.rpFilter
// (NETCONFA_IFINDEX_ALL, include/uapi/linux/netconf.h).
const rpFilterAll = -1

type link struct {
	index    int
	name     string
	flags    uint32 // IFF_*
	master   int    // bridge, bond or VRF that it is a port of, 0: none
	kind     string // of a virtual one, as the kernel calls it: "tun", "wireguard", …
	hardware uint16 // ARPHRD_*
	mac      string // hardware address, as bytes; empty: it has none
	counters Counters

	alternatives []string // further names of it (ip link property, Linux 5.5)
}

type address struct {
	index int
	addr  netip.Addr
	bits  int    // length of the prefix that is on the link
	scope uint8  // RT_SCOPE_*
	flags uint32 // IFA_F_*
}

type route struct {
	family   Family
	table    uint32
	dst      netip.Prefix
	gateway  netip.Addr
	oif      int
	src      netip.Addr // RTA_PREFSRC
	metric   uint32
	protocol uint8
	kind     uint8 // RTN_*
	scope    uint8
	flags    uint32 // RTNH_F_*
	nexthop  uint32 // an object to be resolved, 0: none
	limits   routeLimits
}

func (r route) isDefault() bool { return r.dst.Bits() == 0 }

// worthKeeping leaves out what is of no use in a snapshot: in tables other than the
// main one, all that is behind a gateway and no default route.
func (r route) worthKeeping() bool {
	return r.table == unix.RT_TABLE_MAIN || r.dst.Bits() <= suppressLength || !r.gateway.IsValid() && r.nexthop == 0
}

// routeLimits are the metrics that a table of ours takes over from the default
// route that it stands for.
type routeLimits struct {
	mtu, advMSS, initCwnd, initRwnd uint32
}

type rule struct {
	family   Family
	priority uint32
	src      netip.Prefix
	table    uint32
	protocol uint8
	suppress int32 // ignore results with at most this prefix length; -1: none

	// Ours have none of these.
	action     uint8 // FR_ACT_*; 0: look the table up
	dst        netip.Prefix
	iif, oif   string
	mark, mask uint32
	narrow     bool // it is about ports, protocols, users or types of service
	inverted   bool // it is about all that does not match
}

// Counters are the byte counters of a path's interface since it was made.
type Counters struct {
	RxBytes, TxBytes uint64
}

// belongsTo reports whether an address lies in one prefix with a gateway, which has
// then given or announced it: another gateway's provider may drop what comes from
// it (RFC 6724 section 5, rule 5.5).
func (a address) belongsTo(gateway netip.Addr) bool {
	p := netip.PrefixFrom(a.addr, a.bits)
	return gateway.IsValid() && p.IsValid() && p.Contains(gateway)
}

// isWay reports whether a route leads out, and works.
func (r route) isWay() bool {
	return r.isDefault() && r.kind == unix.RTN_UNICAST && r.flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) == 0
}

func (sys system) linkName(index int) string {
	i := slices.IndexFunc(sys.links, func(l link) bool { return l.index == index })
	if i < 0 {
		return fmt.Sprintf("interface %d", index)
	}
	return sys.links[i].name
}
