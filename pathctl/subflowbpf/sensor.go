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

// A Source is a connection of ours. Its owner hands it to Watcher.Add.
type Source interface {
	// Token is the connection's, not zero. Add asks for it, once.
	Token() uapi.Token
	// Subflows reads the subflows anew. It is called by one goroutine of the
	// Watcher, and only with polling; it must not call the Watcher. An error
	// that matches net.ErrClosed ends the watching of this source; after any
	// other it is asked again.
	Subflows() ([]Subflow, error)
}

// A Subflow is what polling needs to know of one.
type Subflow struct {
	// ID is the kernel's number of the subflow, zero where it is not known.
	ID uapi.SubflowID
	// Local and Remote are the two ends, IPv4 unmapped.
	Local, Remote netip.AddrPort
	// TCP is its state.
	TCP uapi.TCPInfo
}
