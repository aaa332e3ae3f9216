package netpath

// rpFilterStrict is the value of net.ipv4.conf.*.rp_filter that drops packets
// arriving on another interface than the one a reply would take (RFC 3704).
const rpFilterStrict = 1

// rpFilterOf returns the value in effect on an interface: the larger of its own
// and that of "all" (Documentation/networking/ip-sysctl.rst).
func rpFilterOf(sys system, index int) int32 {
	return max(sys.rpFilter[rpFilterAll], sys.rpFilter[index])
}

// warn notes in each up path what may keep it from working.
func warn(paths []Path, sys system) []Path {
	for i := range paths {
		p := &paths[i]
		a, ok := p.Addr(IPv4)
		if ok && a.Table == 0 && rpFilterOf(sys, p.Index) == rpFilterStrict {
			p.Warning = "strict reverse path filter (rp_filter=1): answers may be dropped, needs net.ipv4.conf." +
				p.Interface + ".rp_filter=2 (and conf.all.rp_filter not 1), or source routing"
		}
	}
	return paths
}
