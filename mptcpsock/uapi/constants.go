package uapi

import "strings"

// SolMPTCP is the level of the socket options below, SOL_MPTCP of
// include/linux/socket.h.
const SolMPTCP = 284

// Socket options at level SOL_MPTCP, include/uapi/linux/mptcp.h.
const (
	OptInfo         = 1 // MPTCP_INFO, Linux 5.16
	OptTCPInfo      = 2 // MPTCP_TCPINFO, Linux 5.16
	OptSubflowAddrs = 3 // MPTCP_SUBFLOW_ADDRS, Linux 5.16
	OptFullInfo     = 4 // MPTCP_FULL_INFO, Linux 6.5
)

// InfoFlags are the bits of mptcpi_flags.
type InfoFlags uint32

// The bits of InfoFlags.
const (
	// InfoFallback says that the connection has fallen back to plain TCP
	// (MPTCP_INFO_FLAG_FALLBACK). Seen through sock_diag only: a socket
	// that has fallen back refuses MPTCP_INFO.
	InfoFallback InfoFlags = 1 << 0
	// InfoRemoteKeyReceived says that the peer's key is known: the
	// connection can be joined (MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED).
	InfoRemoteKeyReceived InfoFlags = 1 << 1
)

// String returns the names of the known bits, joined with "|", or "0".
func (f InfoFlags) String() string {
	var names []string
	if f&InfoFallback != 0 {
		names = append(names, "fallback")
	}
	if f&InfoRemoteKeyReceived != 0 {
		names = append(names, "remote-key-received")
	}
	if names == nil {
		return "0"
	}
	return strings.Join(names, "|")
}
