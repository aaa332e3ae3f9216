package rtnl

// Which rules and routes of the kernel are ours: those that bear our protocol number and
// lie in our range of numbers. Nothing else is ever changed or removed.
const (
	// FirstNumber is the first of our table numbers and of our rule
	// priorities, lastNumber the last of both. They come before the main
	// table's rule (32766), and before what wg-quick, networkd and
	// NetworkManager add by themselves (30000 and above); they come behind
	// IPsec (220), mwan3 (1000–3999) and Tailscale (5210–5270).
	FirstNumber = 27000
	LastNumber  = 27255

	// RouteProtocol tags our routes (rtm_protocol) and rules (FRA_PROTOCOL,
	// Linux 4.17). 77 is 'M', used neither by include/uapi/linux/rtnetlink.h
	// nor by iproute2's rt_protos.
	RouteProtocol = 77

	// SuppressLength is the longest prefix that counts as a default route: VPNs lay
	// "default" routes of /1 (OpenVPN's def1), ::/3 or 2000::/4 over the real one, and
	// no registry hands out a prefix shorter than /8. A path's address must not leave
	// through a tunnel.
	SuppressLength = 7
	// NoSuppress is rule.suppress of a rule that takes every result.
	NoSuppress = -1
)

func InRange(n uint32) bool { return n >= FirstNumber && n <= LastNumber }

func IsOwnRule(r Rule) bool   { return r.Protocol == RouteProtocol && InRange(r.Priority) }
func IsOwnRoute(r Route) bool { return r.Protocol == RouteProtocol && InRange(r.Table) }
