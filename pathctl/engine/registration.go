package engine

import (
	"net/netip"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// Registration is a connection of the data path that the controller takes
// care of. The token joins it with the kernel's events.
type Registration struct {
	Token uapi.Token
	Role  policy.Role
	Mode  *policy.Spec // shared by many, and never changed; nil only where Manual is set
	Description
	Paths []string // the only paths that it may use; nil: all
	// Manual leaves its subflows to the program that it belongs to: Mode means
	// nothing.
	Manual bool
	Reader Reader
	// Device is the index of the interface that its first subflow is bound to; 0: none
	// that is known.
	Device int
	// Notify is told what happens to the connection; nil: nobody is. The engine's
	// goroutine calls it, which waits until it returns.
	Notify func(Notice)
}

// Description says to people what a connection carries. Nothing is decided by it,
// and it may change: one stream may follow another.
type Description struct {
	Destination string
	User        string
	Rule        string // what the rule is called that held; empty: none did
}

// Reader reads a connection's sockets. The owner of the connection hands it
// over; calls come from the controller's goroutine.
type Reader interface {
	// Read returns the state now, or an error when there is no connection any
	// more.
	Read() (Reading, error)
}

// Bounder is a Reader that can also bound what a connection holds.
type Bounder interface {
	// BoundUnsent makes the connection take more data only while it holds fewer
	// bytes that no subflow has got yet; 0 lifts the bound. It fails where the
	// kernel has no such bound, or the program set its own.
	BoundUnsent(bytes int) error
	// SetSendBuffer fixes how much the connection may hold unacknowledged, in bytes.
	// Its subflows may hold as much each. It fails where the kernel grants less.
	SetSendBuffer(bytes int) error
}

// Prodder is a Reader that can also have the kernel ask the peer for a sign of life on
// each subflow.
type Prodder interface {
	// Prod has it ask after so long without one; 0 is as long as at first. It fails
	// where the kernel's MPTCP cannot be told.
	Prod(after time.Duration) error
}

// Ender is a Reader that can also end the connection: its peer has, and no packet told.
type Ender interface {
	// End makes whoever uses the connection get an error. It does not block.
	End() error
}

// Reading is the state of a connection at one moment.
type Reading struct {
	Info     uapi.Info
	Subflows []SubflowReading
}

// SubflowReading is the state of one subflow; IPv4 addresses are unmapped.
type SubflowReading struct {
	Local, Remote netip.AddrPort
	TCP           uapi.TCPInfo
}
