package config

import "mpproxy/config/tomlfile"

// Strangers bound the peers of a server that have not shown who they are, and what any peer
// may do before that.
type Strangers struct {
	MaxSubflows                 int // of one connection: 1 to 64
	MaxUnauthenticated          int // 1 to 1,000,000; 0 means derived from descriptors and memory
	MaxUnauthenticatedPerSource int // 1 to 1,000,000
	SourceBitsIPv4              int // length of the prefix that is one source: 8 to 32
	SourceBitsIPv6              int // the same for IPv6: 16 to 128
}

// defaultStrangers leave room for a client that opens a page's connections at once, and for
// several behind one address. An IPv6 customer has at least a /64 (RFC 6177 §2).
var defaultStrangers = Strangers{MaxSubflows: 8, MaxUnauthenticatedPerSource: 256, SourceBitsIPv4: 32, SourceBitsIPv6: 64}

type rawStrangers struct {
	MaxSubflows                 tomlfile.Field[int64] `toml:"max_subflows"`
	MaxUnauthenticated          tomlfile.Field[int64] `toml:"max_unauthenticated"`
	MaxUnauthenticatedPerSource tomlfile.Field[int64] `toml:"max_unauthenticated_per_source"`
	SourceBitsIPv4              tomlfile.Field[int64] `toml:"source_prefix_ipv4"`
	SourceBitsIPv6              tomlfile.Field[int64] `toml:"source_prefix_ipv6"`
}

func (c check) strangers(raw rawStrangers, d Strangers) Strangers {
	return Strangers{
		MaxSubflows:                 c.Number(raw.MaxSubflows, d.MaxSubflows, 1, 64),
		MaxUnauthenticated:          c.Number(raw.MaxUnauthenticated, d.MaxUnauthenticated, 0, maxConnectionsLimit),
		MaxUnauthenticatedPerSource: c.Number(raw.MaxUnauthenticatedPerSource, d.MaxUnauthenticatedPerSource, 1, maxConnectionsLimit),
		SourceBitsIPv4:              c.Number(raw.SourceBitsIPv4, d.SourceBitsIPv4, 8, 32),
		SourceBitsIPv6:              c.Number(raw.SourceBitsIPv6, d.SourceBitsIPv6, 16, 128),
	}
}

func (w *writer) strangers(s Strangers) {
	w.Num("max_subflows", s.MaxSubflows)
	w.Num("max_unauthenticated", s.MaxUnauthenticated)
	w.Num("max_unauthenticated_per_source", s.MaxUnauthenticatedPerSource)
	w.Num("source_prefix_ipv4", s.SourceBitsIPv4)
	w.Num("source_prefix_ipv6", s.SourceBitsIPv6)
}
