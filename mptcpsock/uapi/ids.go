package uapi

import "fmt"

// A Token identifies an MPTCP connection on this host, RFC 8684 section 3.2.
// It is the join key between a socket (mptcpi_token) and the events of the
// kernel's path manager (MPTCP_ATTR_TOKEN). Unique within a network namespace;
// zero means that there is none.
type Token uint32

// String returns the token the way ss(8) and ip-mptcp(8) write it, as eight
// hexadecimal digits with 0x in front.
func (t Token) String() string { return fmt.Sprintf("0x%08x", uint32(t)) }

// An AddrID is the 8-bit id of an address of one end of an MPTCP connection,
// RFC 8684 section 3.4.1. Zero is the address of the initial subflow.
type AddrID uint8

// A SubflowID numbers the subflows of one connection in the order in which the
// kernel created them; it is never used again within the connection. Known
// with MPTCP_FULL_INFO only (Linux 6.5).
type SubflowID uint32
