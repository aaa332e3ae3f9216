package netpath

import (
	"fmt"
	"slices"

	"mpproxy/pathctl/netpath/rtnl"
)

// ChangeKind names what changed about a path between two snapshots.
type ChangeKind uint8

// The kinds of changes. Byte counters are none.
const (
	PathAdded ChangeKind = iota
	PathRemoved
	PathUp
	PathDown
	ReasonChanged    // down before and after, for another reason
	InterfaceChanged // another interface, or the same under a new index
	AddressChanged   // including an address of one family that came or went
	GatewayChanged
	TableChanged // source routing came, went or moved
	RankChanged
	MeteredChanged
	WarningChanged
	FilterChanged // Path.StrictFilter
	SignalChanged // Path.Weak
)

var changeNames = [...]string{
	"added", "removed", "up", "down", "reason", "interface", "address", "gateway", "table", "rank", "metered", "warning", "strict filter", "weak signal",
}

// String returns one word.
func (k ChangeKind) String() string {
	if int(k) < len(changeNames) {
		return changeNames[k]
	}
	return fmt.Sprintf("change %d", uint8(k))
}

// A Change is one difference between two snapshots.
type Change struct {
	Path   string // name
	Kind   ChangeKind
	Detail string // from what to what
}

// String is meant for logs: "wifi: address 192.0.2.5 → 192.0.2.6".
func (c Change) String() string { return fmt.Sprintf("%s: %v %s", c.Path, c.Kind, c.Detail) }

// Compare returns what changed between two snapshots: paths that went, then the
// new snapshot's paths in its order. Nothing means that nobody needs to act.
func Compare(before, after []Path) []Change {
	var cs []Change
	for _, b := range before {
		if !slices.ContainsFunc(after, func(p Path) bool { return p.Name == b.Name }) {
			cs = append(cs, Change{b.Name, PathRemoved, "from " + b.Interface})
		}
	}
	for _, a := range after {
		i := slices.IndexFunc(before, func(p Path) bool { return p.Name == a.Name })
		if i < 0 {
			cs = append(cs, Change{a.Name, PathAdded, fmt.Sprintf("on %s, %s", a.Interface, describe(a))})
			continue
		}
		cs = append(cs, comparePath(before[i], a)...)
	}
	return cs
}

func describe(p Path) string {
	if p.State == Down {
		return "down: " + p.Reason
	}
	return p.State.String()
}

func comparePath(b, a Path) []Change {
	var cs []Change
	note := func(k ChangeKind, from, to any) {
		if from != to {
			cs = append(cs, Change{a.Name, k, fmt.Sprintf("%v → %v", from, to)})
		}
	}
	switch {
	case b.State != a.State && a.State == Up:
		cs = append(cs, Change{a.Name, PathUp, "was " + describe(b)})
	case b.State != a.State:
		cs = append(cs, Change{a.Name, PathDown, a.Reason})
	default:
		note(ReasonChanged, b.Reason, a.Reason)
	}
	note(InterfaceChanged, fmt.Sprintf("%s (%d)", b.Interface, b.Index), fmt.Sprintf("%s (%d)", a.Interface, a.Index))
	for _, f := range []rtnl.Family{rtnl.IPv4, rtnl.IPv6} {
		cs = append(cs, compareAddr(a.Name, f, b, a)...)
	}
	note(AddressChanged, keptNames(b), keptNames(a))
	note(RankChanged, b.Rank, a.Rank)
	note(MeteredChanged, b.Metered, a.Metered)
	note(WarningChanged, b.Warning, a.Warning)
	note(SignalChanged, b.Weak, a.Weak)
	note(FilterChanged, b.StrictFilter, a.StrictFilter)
	return cs
}

func keptNames(p Path) string { return fmt.Sprintf("kept for connections: %v", p.Kept) }

func compareAddr(name string, f rtnl.Family, b, a Path) []Change {
	from, had := b.Addr(f)
	to, has := a.Addr(f)
	switch {
	case !had && !has:
		return nil
	case !had:
		return []Change{{name, AddressChanged, fmt.Sprintf("%v added", to.Addr)}}
	case !has:
		return []Change{{name, AddressChanged, fmt.Sprintf("%v removed", from.Addr)}}
	}
	var cs []Change
	if from.Addr != to.Addr {
		cs = append(cs, Change{name, AddressChanged, fmt.Sprintf("%v → %v", from.Addr, to.Addr)})
	}
	if from.Gateway != to.Gateway {
		cs = append(cs, Change{name, GatewayChanged, fmt.Sprintf("%v: %v → %v", f, gatewayName(from), gatewayName(to))})
	}
	if from.Table != to.Table {
		cs = append(cs, Change{name, TableChanged, fmt.Sprintf("%v: %d → %d", f, from.Table, to.Table)})
	}
	return cs
}

func gatewayName(a Addr) string {
	if !a.Gateway.IsValid() {
		return "none"
	}
	return a.Gateway.String()
}
