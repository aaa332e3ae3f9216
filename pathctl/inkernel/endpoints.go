package inkernel

import (
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/netpath/rtnl"
)

// EndpointsFor returns what the client wants registered: one subflow endpoint
// for each address of each path that is up. The in-kernel path manager has no
// policy for each connection, so a metered path is a backup in every mode:
// better than using it always.
func EndpointsFor(paths []netpath.Path) []mptcppm.Endpoint {
	var want []mptcppm.Endpoint
	for _, p := range paths {
		if p.State != netpath.Up {
			continue
		}
		flags := mptcppm.FlagSubflow
		if p.Metered {
			flags |= mptcppm.FlagBackup
		}
		for _, a := range p.Addrs {
			// Of two paths with one address the kernel knows the better one only.
			if slices.ContainsFunc(want, func(w mptcppm.Endpoint) bool { return w.Addr == a.Addr }) {
				continue
			}
			want = append(want, mptcppm.Endpoint{Addr: a.Addr, Flags: flags, IfIndex: p.Index})
		}
	}
	return want
}

// LimitsFor returns the limits that these paths need and that keep what others
// asked for.
//
// One subflow for each path, the first one's included: a connection whose first
// path went and came back needs room for it, because the kernel still counts
// the subflow that it started with. Announced addresses are only accepted when
// the paths differ in their families: otherwise every path reaches the
// concentrator's first address, and a second one would only double subflows.
func LimitsFor(paths []netpath.Path, now mptcppm.Limits) mptcppm.Limits {
	up := 0
	var four, six, all int
	for _, p := range paths {
		if p.State != netpath.Up {
			continue
		}
		up++
		_, has4 := p.Addr(rtnl.IPv4)
		_, has6 := p.Addr(rtnl.IPv6)
		switch {
		case has4 && has6:
			all++
		case has4:
			four++
		case has6:
			six++
		}
	}
	want := mptcppm.Limits{Subflows: min(uint32(up), mptcppm.MaxEndpoints)}
	if kinds := min(four, 1) + min(six, 1) + min(all, 1); kinds > 1 {
		want.AddAddrAccepted = want.Subflows
	}
	return mptcppm.Limits{
		Subflows:        max(now.Subflows, want.Subflows),
		AddAddrAccepted: max(now.AddAddrAccepted, want.AddAddrAccepted),
	}
}

// Announcements returns the signal endpoints of a concentrator.
func Announcements(addrs []netip.Addr) []mptcppm.Endpoint {
	var want []mptcppm.Endpoint
	for _, a := range addrs {
		want = append(want, mptcppm.Endpoint{Addr: a, Flags: mptcppm.FlagSignal})
	}
	return want
}

// changes are the steps from what is registered to what is wanted.
type changes struct {
	remove []mptcppm.Endpoint
	add    []mptcppm.Endpoint
	notes  []string // what was left alone, and why
}

// diff compares the registered endpoints with the wanted ones, which are in the
// order of their worth. Ours get ids from first on; another program's endpoint on
// the same address serves as well as our own and is left alone.
//
// An endpoint that the kernel made by itself for the address of a subflow is
// removed first: the kernel replaces such a one only by an endpoint without an
// id (mptcp_pm_nl_append_new_local_addr in net/mptcp/pm_kernel.c).
func diff(have, want []mptcppm.Endpoint, own ownership, first uapi.AddrID) changes {
	var c changes
	used := make(map[uapi.AddrID]bool)
	for _, h := range have {
		used[h.ID] = true
		wanted := slices.ContainsFunc(want, func(w mptcppm.Endpoint) bool { return same(h, w) })
		replaced := h.Flags&mptcppm.FlagImplicit != 0 && slices.ContainsFunc(want, func(w mptcppm.Endpoint) bool { return w.Addr == h.Addr && w.Port == h.Port })
		if own.has(h) && !wanted || replaced {
			c.remove = append(c.remove, h)
			used[h.ID] = false
		}
	}
	room := mptcppm.MaxEndpoints - len(have) + len(c.remove)
	for _, w := range want {
		i := slices.IndexFunc(have, func(h mptcppm.Endpoint) bool { return h.Addr == w.Addr && h.Port == w.Port })
		if i >= 0 && !own.has(have[i]) && have[i].Flags&mptcppm.FlagImplicit == 0 {
			c.notes = append(c.notes, fmt.Sprintf("%v is registered by another program (%v): left as it is", w.Addr, have[i]))
			continue
		}
		if i >= 0 && same(have[i], w) {
			continue
		}
		if len(c.add) == room {
			c.notes = append(c.notes, fmt.Sprintf("%v is not registered: the kernel takes %d endpoints", w.Addr, mptcppm.MaxEndpoints))
			continue
		}
		w.ID = freeID(used, first)
		used[w.ID] = true
		c.add = append(c.add, w)
	}
	return c
}

func same(h, w mptcppm.Endpoint) bool {
	return h.Addr == w.Addr && h.Port == w.Port && h.Flags == w.Flags && h.IfIndex == w.IfIndex
}

// freeID returns an id of our range that is not in use. The kernel has room
// for mptcppm.MaxEndpoints, fewer than the range has ids.
func freeID(used map[uapi.AddrID]bool, first uapi.AddrID) uapi.AddrID {
	for id := first; id < first+mptcppm.IDsPerRole; id++ {
		if !used[id] {
			return id
		}
	}
	return first
}
