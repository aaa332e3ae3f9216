package netpath

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	"mpproxy/pathctl/netpath/rtnl"
)

// A memory is what discover knows of earlier snapshots of one run, so that what has
// a name keeps it.
type memory struct {
	// names gives each way out its path's name: a name must not move to another
	// interface when one of several that match a pattern goes away. A way is known
	// by its interface, and by its gateway unless it is the first one there.
	names map[string]string
	// seen is what an interface was when it became a path, by its index: it may be
	// renamed.
	seen map[int]identity
	// firsts are the gateways of the first way of each interface, so that it stays
	// the first when another gets a better metric.
	firsts map[firstKey]netip.Addr
	// used tells which way an address was of. As long as the address exists,
	// connections may use it.
	used map[usedAddr]string
}

// identity is the name of an interface and its hardware address: another interface may
// get the index of one that is gone.
type identity struct{ name, mac string }

type firstKey struct {
	iface  string
	family rtnl.Family
}

type usedAddr struct {
	index int
	addr  netip.Addr
}

func newMemory() *memory {
	return &memory{make(map[string]string), make(map[int]identity), make(map[firstKey]netip.Addr), make(map[usedAddr]string)}
}

// forgetGone drops interfaces and addresses that exist no more. Names stay, for
// interfaces that come back.
func (m *memory) forgetGone(sys rtnl.System) {
	maps.DeleteFunc(m.seen, func(index int, was identity) bool {
		return !slices.ContainsFunc(sys.Links, func(l rtnl.Link) bool { return l.Index == index && (l.MAC == was.mac || l.Name == was.name) })
	})
	for index, was := range m.seen { // whose old name another interface bears now
		if slices.ContainsFunc(sys.Links, func(l rtnl.Link) bool { return l.Index != index && l.Name == was.name }) {
			m.seen[index] = identity{fmt.Sprintf("%s (%d)", was.name, index), was.mac}
			rename(m.names, was.name, m.seen[index].name)
		}
	}
	maps.DeleteFunc(m.used, func(u usedAddr, _ string) bool {
		return !slices.ContainsFunc(sys.Addrs, func(a rtnl.Address) bool { return a.Index == u.index && a.Addr == u.addr })
	})
}

// rename moves a name to another key.
func rename(names map[string]string, from, to string) {
	if name, ok := names[from]; ok {
		names[to] = name
		delete(names, from)
	}
}

// nameOf returns what a link was called when it became a path, or is called now.
func (m *memory) nameOf(l rtnl.Link) string { return cmp.Or(m.seen[l.Index].name, l.Name) }

// namesOf returns all names that selectors know a link by, the present one first.
func (m *memory) namesOf(l rtnl.Link) []string {
	names := append([]string{l.Name}, l.Alternatives...)
	if old := m.nameOf(l); !slices.Contains(names, old) {
		names = append(names, old)
	}
	return names
}

func (m *memory) first(iface string, fam rtnl.Family) netip.Addr {
	return m.firsts[firstKey{iface, fam}]
}

func (m *memory) setFirst(iface string, fam rtnl.Family, gateway netip.Addr) {
	m.firsts[firstKey{iface, fam}] = gateway
}

// keep notes the address of a way, and returns the other ones of its family that it
// has had, sorted: a deprecated address serves the connections that began with it
// (RFC 4862 section 5.5.4).
func (m *memory) keep(key string, u uplink) (kept []netip.Addr) {
	m.used[usedAddr{u.index, u.addr}] = key
	for other, k := range m.used {
		if k == key && other.index == u.index && other.addr != u.addr && rtnl.FamilyOf(other.addr) == u.family() {
			kept = append(kept, other.addr)
		}
	}
	slices.SortFunc(kept, netip.Addr.Compare)
	return kept
}

// nameAll gives each path a unique name: the wanted one, for the first that wants it,
// else that with the interface's name behind it. A way out that was named before
// keeps its name while it is there.
func nameAll(all []found, mem *memory) {
	taken := make(map[string]bool)
	for i := range all {
		if name, ok := mem.names[all[i].key]; ok {
			all[i].path.Name = name
			taken[name] = true
		}
	}
	for i := range all {
		f := &all[i]
		if f.path.Name == "" {
			f.path.Name = uniqueName(f.want, f.path.Interface, taken)
			taken[f.path.Name] = true
		}
		if f.path.Index != 0 {
			mem.remember(*f)
		}
	}
}

// remember notes a way's name and takes it from one that had it and is gone: when
// that one comes back, it gets another.
func (m *memory) remember(f found) {
	maps.DeleteFunc(m.names, func(key, name string) bool { return name == f.path.Name && key != f.key })
	m.names[f.key] = f.path.Name
	if m.seen[f.path.Index].name == "" {
		m.seen[f.path.Index] = identity{f.path.Interface, f.mac}
	}
}

func uniqueName(want, iface string, taken map[string]bool) string {
	if !taken[want] {
		return want
	}
	base := want + "-" + iface
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// rankAll ranks and sorts: first the paths whose selector gives a rank, then
// the others in the order of their route metrics. Weak ones come behind all.
func rankAll(all []found, sels []Selector) {
	given := func(f found) int {
		if f.selector >= 0 && sels[f.selector].Rank > 0 {
			return sels[f.selector].Rank
		}
		return math.MaxInt
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(
			compareBool(a.path.Weak, b.path.Weak),
			cmp.Compare(given(a), given(b)),
			cmp.Compare(a.metric, b.metric),
			cmp.Compare(a.path.Interface, b.path.Interface),
		)
	})
	last := 0
	for i := range all {
		if r := given(all[i]); r != math.MaxInt && (!all[i].path.Weak || r > last) {
			last = r
		} else {
			last++
		}
		all[i].path.Rank, all[i].path.Ranked = last, given(all[i]) != math.MaxInt
	}
}
