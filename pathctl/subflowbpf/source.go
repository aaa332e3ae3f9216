package subflowbpf

import (
	"net/netip"

	"mpproxy/mptcpsock/uapi"
)

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
