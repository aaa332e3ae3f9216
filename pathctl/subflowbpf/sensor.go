package subflowbpf

import (
	"context"
	"net/netip"

	"mpproxy/mptcpsock/uapi"
)

// A sensor finds events: the eBPF program or the poller.
type sensor interface {
	// run hands events to emit, one after the other, until ctx ends, after
	// interrupt was called, or emit returns false.
	run(ctx context.Context, emit func(Event) bool) error
	// interrupt ends a wait of run that its context cannot end.
	interrupt()
	// add and remove say which connections are ours.
	add(uapi.Token, Source) error
	remove(uapi.Token) error
	// limit sets the limits of a connection's subflows, where that is possible.
	limit(uapi.Token, Limits) error
	// firstRate says what a path carries to subflows that begin, where that is
	// possible.
	firstRate(path netip.Addr, rate uint64) error
	// lost counts events that were dropped since the start.
	lost() (uint64, error)
	// close gives everything back, once run has returned.
	close() error
}
