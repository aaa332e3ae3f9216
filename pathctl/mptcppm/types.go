package mptcppm

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"mpproxy/mptcpsock/uapi"
)

// MaxEndpoints is how many endpoints a network namespace can hold, and the
// largest value of either limit: MPTCP_PM_ADDR_MAX of net/mptcp/protocol.h.
const MaxEndpoints = 8

// Endpoint is a local address that the path manager knows.
type Endpoint struct {
	// ID is the MPTCP address id, 1 to 255. 0 in AddEndpoint lets the kernel
	// choose a free one.
	ID uapi.AddrID
	// Addr is the address, without a zone: the interface stands in IfIndex. An
	// IPv4 address in IPv6 form goes to the kernel as it is, family AF_INET6.
	Addr netip.Addr
	// Port is the port to announce or to bind, 0 for the connection's own. Only
	// FlagSignal endpoints without FlagSubflow may have one.
	Port uint16
	// Flags say what the endpoint is for.
	Flags Flags
	// IfIndex binds subflows from this endpoint to an interface; 0 does not.
	IfIndex int
}

// String gives the endpoint in the manner of `ip mptcp endpoint`.
func (e Endpoint) String() string {
	var b strings.Builder
	switch {
	case e.Addr.IsValid() && e.Port != 0:
		b.WriteString(netip.AddrPortFrom(e.Addr, e.Port).String())
	case e.Addr.IsValid():
		b.WriteString(e.Addr.String())
	default:
		b.WriteString("endpoint")
	}
	if e.ID != 0 {
		fmt.Fprintf(&b, " id %d", e.ID)
	}
	if e.IfIndex != 0 {
		fmt.Fprintf(&b, " if %d", e.IfIndex)
	}
	if e.Flags != 0 {
		fmt.Fprintf(&b, " [%v]", e.Flags)
	}
	return b.String()
}

// Limits bound what the in-kernel path manager does for each connection.
type Limits struct {
	// Subflows is how many subflows beyond the first a connection may have, 0
	// to MaxEndpoints. The kernel starts with 2.
	Subflows uint32
	// AddAddrAccepted is how many addresses announced by the peer a connection
	// connects to, 0 to MaxEndpoints. The kernel starts with 0.
	AddAddrAccepted uint32
}

// Flags is the bit set MPTCP_PM_ADDR_FLAG_* of an endpoint.
type Flags uint32

// What an endpoint can be for. The kernel drops other bits without a word, so
// one that has no FlagLaminar yet shows an endpoint without flags.
const (
	// FlagSignal announces the address to the peer with ADD_ADDR.
	FlagSignal Flags = 1 << iota
	// FlagSubflow opens a subflow from the address.
	FlagSubflow
	// FlagBackup opens subflows with the backup priority.
	FlagBackup
	// FlagFullmesh, with FlagSubflow, connects to every known remote address.
	FlagFullmesh
	// FlagImplicit marks an endpoint that the kernel made by itself, for the
	// local address of a subflow. It cannot be set.
	FlagImplicit
	// FlagLaminar uses the endpoint to connect to announced addresses only
	// (Linux 6.18).
	FlagLaminar
)

var flagNames = [...]string{"signal", "subflow", "backup", "fullmesh", "implicit", "laminar"}

// String joins the names of the flags with commas; unknown bits follow in
// hexadecimal. No flags give "none".
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	var names []string
	for rest := uint32(f); rest != 0; rest &= rest - 1 {
		bit := bits.TrailingZeros32(rest)
		if bit >= len(flagNames) {
			names = append(names, fmt.Sprintf("0x%x", rest))
			break
		}
		names = append(names, flagNames[bit])
	}
	return strings.Join(names, ",")
}
