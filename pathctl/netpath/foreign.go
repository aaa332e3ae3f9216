package netpath

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// An ObstacleKind says what a rule of another program does to traffic of the paths.
type ObstacleKind uint8

// The kinds of rules that come before ours.
const (
	// Diverts: its table has a default route over another interface. Sockets that
	// are bound to their path's interface, as ours are, do not find that one.
	Diverts ObstacleKind = iota
	// Stops: it ends in a route that answers or drops everything, bound or not.
	Stops
)

// An Obstacle is a rule of another program that catches what comes from a path's
// address before our rules do.
type Obstacle struct {
	Kind  ObstacleKind
	Rule  string // as `ip rule` shows it: "5270: from all lookup 52"
	Owner string // who makes such rules, as far as the numbers tell; may be empty
	Into  string // where it leads: an interface, or "unreachable"
	Paths string // the names of the paths whose traffic it catches, the best first
}

// obstacles returns the rules that come before ours and catch what leaves from a path.
func obstacles(sys rtnl.System, paths []Path) (all []Obstacle) {
	for _, r := range sys.Rules {
		if r.Priority >= rtnl.FirstNumber || r.Table == unix.RT_TABLE_LOCAL {
			continue
		}
		var caught []string
		var into string
		var kind ObstacleKind
		for _, p := range paths {
			if p.State != Up || !catches(r, p) {
				continue
			}
			if k, where := leads(sys, r, p.Index); where != "" {
				caught, into, kind = append(caught, p.Name), where, k
			}
		}
		if len(caught) > 0 {
			o := Obstacle{kind, r.String(), ownerOf(r), into, strings.Join(caught, ", ")}
			if !slices.Contains(all, o) { // as for the other family
				all = append(all, o)
			}
		}
	}
	return all
}

// catches reports whether a rule is about what a socket sends that is bound to the
// path's address and interface. Ours have no marks.
func catches(r rtnl.Rule, p Path) bool {
	a, ok := p.Addr(r.Family)
	if !ok || r.Narrow || r.Dst.IsValid() && r.Dst.Bits() > rtnl.SuppressLength {
		return false
	}
	match := (!r.Src.IsValid() || r.Src.Contains(a.Addr)) && (r.IIF == "" || r.IIF == "lo") &&
		(r.OIF == "" || r.OIF == p.Interface) && r.Mark&r.Mask == 0
	return match != r.Inverted
}

// leads says where a rule sends what is meant for the path over an interface: over
// another interface, or nowhere. It is empty where the rule does no harm.
func leads(sys rtnl.System, r rtnl.Rule, index int) (ObstacleKind, string) {
	switch r.Action {
	case 0:
	case unix.FR_ACT_BLACKHOLE:
		return Stops, "blackhole"
	case unix.FR_ACT_UNREACHABLE:
		return Stops, "unreachable"
	case unix.FR_ACT_PROHIBIT:
		return Stops, "prohibit"
	default:
		return 0, ""
	}
	over := ""
	for _, t := range sys.Routes {
		if t.Family != r.Family || t.Table != r.Table || t.Table == unix.RT_TABLE_MAIN || int32(t.Dst.Bits()) <= r.Suppress || t.Dst.Bits() > rtnl.SuppressLength {
			continue
		}
		switch t.Kind {
		case unix.RTN_BLACKHOLE:
			return Stops, "blackhole"
		case unix.RTN_UNREACHABLE:
			return Stops, "unreachable"
		case unix.RTN_PROHIBIT:
			return Stops, "prohibit"
		case unix.RTN_UNICAST:
			if t.OIF == index {
				return 0, "" // over the path itself
			}
			over = sys.LinkName(t.OIF)
		}
	}
	return Diverts, over
}

// ownerOf names the program whose numbers these are, as they are documented: Tailscale
// has table 52, strongSwan 220, wg-quick 51820, mwan3 rules 1000 to 3999.
func ownerOf(r rtnl.Rule) string {
	switch {
	case r.Table == 52 || r.Priority >= 5200 && r.Priority < 5300:
		return "Tailscale"
	case r.Table == 220:
		return "strongSwan"
	case r.Table == 51820:
		return "wg-quick"
	case r.Priority >= 1000 && r.Priority < 4000:
		return "mwan3"
	}
	return ""
}

// rpFilterStrict is the value of net.ipv4.conf.*.rp_filter that drops packets
// arriving on another interface than the one a reply would take (RFC 3704).
const rpFilterStrict = 1

// rpFilterOf returns the value in effect on an interface: the larger of its own
// and that of "all" (Documentation/networking/ip-sysctl.rst).
func rpFilterOf(sys rtnl.System, index int) int32 {
	return max(sys.RPFilter[rtnl.RPFilterAll], sys.RPFilter[index])
}

// warn notes in each up path what may keep it from working.
//
// The strict filter looks up the reverse route with our address as its source
// (__fib_validate_source, net/ipv4/fib_frontend.c), so with source routing in
// place it finds the right interface and nothing is lost: measured on 6.18.
// Without, answers on every path but that of the best default route are
// dropped, also for sockets bound to the interface. Nothing is set
// here: with source routing it would change nothing, and without the privilege
// for source routing it cannot be done.
func warn(paths []Path, sys rtnl.System) []Path {
	best := bestIPv4Interface(sys.Routes)
	for i := range paths {
		p := &paths[i]
		a, ok := p.Addr(rtnl.IPv4)
		p.StrictFilter = ok && p.Index != best && rpFilterOf(sys, p.Index) == rpFilterStrict
		if p.StrictFilter && a.Table == 0 {
			p.Warning = "the reverse path filter is strict (rp_filter=1) and drops answers on this path: it needs " +
				"source routing, or sysctl net.ipv4.conf." + p.Interface + ".rp_filter=2"
		}
	}
	return paths
}

// bestIPv4Interface returns the interface of the default route that the main
// table uses, 0 when it has none.
func bestIPv4Interface(routes []rtnl.Route) int {
	var best rtnl.Route
	for _, r := range routes {
		if r.Family == rtnl.IPv4 && r.Table == unix.RT_TABLE_MAIN && r.IsDefault() && r.Kind == unix.RTN_UNICAST && (best.OIF == 0 || r.Metric < best.Metric) {
			best = r
		}
	}
	return best.OIF
}
