package metrics

import "time"

// Snapshot is what a running program has to count and measure at one moment.
// Counters count since the program started.
type Snapshot struct {
	// Paths are a client's ways to the Internet; a concentrator has none.
	Paths     []Path
	Subflows  []Subflows
	Decisions []Decisions
	Modes     []Connections

	SentBytes, ReceivedBytes uint64 // relayed, seen from the application
	Refused                  uint64 // connections turned away at a limit
	Failed                   uint64 // connections whose destination or concentrator was not reached
	FellBack                 uint64 // legs that came up as plain TCP
	Reused                   uint64 // connections on a leg that was there already
	AnsweredEarly            uint64 // connections answered before the concentrator was asked
	AnsweredWrongly          uint64 // those of them that were reset
	AuthFailures             uint64 // wrong user names, tokens or modes

	// Steering says that mpproxy is the path manager; what follows is zero
	// without.
	Steering   bool
	EBPF       bool // timeouts are told by eBPF
	LostEvents uint64
	Looks      uint64
	LookTime   time.Duration // of all looks
	// Concentrator says whether the concentrator took the last connection; nil on
	// a concentrator.
	Concentrator *bool
}

// Path is one way to the Internet.
type Path struct {
	Name                     string
	Up, Troubled             bool
	ReceivedBytes, SentBytes uint64        // of its interface
	RTT                      time.Duration // 0: unknown
}

// Subflows counts the established subflows on a path.
type Subflows struct {
	Path   string // empty on a concentrator
	Backup bool
	N      int
}

// Decisions counts decisions.
type Decisions struct {
	Mode, Action, Reason string
	N                    uint64
}

// Connections counts connections of a mode.
type Connections struct {
	Mode   string
	Live   int
	Opened uint64
}
