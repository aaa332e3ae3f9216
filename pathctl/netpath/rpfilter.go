package netpath

import "golang.org/x/sys/unix"

// rpFilterStrict is the value of net.ipv4.conf.*.rp_filter that drops packets
// arriving on another interface than the one a reply would take (RFC 3704).
const rpFilterStrict = 1

// rpFilterOf returns the value in effect on an interface: the larger of its own
// and that of "all" (Documentation/networking/ip-sysctl.rst).
func rpFilterOf(sys system, index int) int32 {
	return max(sys.rpFilter[rpFilterAll], sys.rpFilter[index])
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
func warn(paths []Path, sys system) []Path {
	best := bestIPv4Interface(sys.routes)
	for i := range paths {
		p := &paths[i]
		a, ok := p.Addr(IPv4)
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
func bestIPv4Interface(routes []route) int {
	var best route
	for _, r := range routes {
		if r.family == IPv4 && r.table == unix.RT_TABLE_MAIN && r.isDefault() && r.kind == unix.RTN_UNICAST && (best.oif == 0 || r.metric < best.metric) {
			best = r
		}
	}
	return best.oif
}
