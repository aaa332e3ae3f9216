package mptcppm

import "mpproxy/mptcpsock/uapi"

// Ids of the addresses that mpproxy registers, for each role. The kernel counts ids
// up from 1, and so do NetworkManager and mptcpd: a range of our own keeps ours out
// of the way of theirs. What is ours the journal tells.
const (
	FirstClientID       uapi.AddrID = 160
	FirstConcentratorID uapi.AddrID = 192
	IDsPerRole                      = 32
)

// InRange reports whether an id belongs to the range that starts at first.
func InRange(id, first uapi.AddrID) bool { return id >= first && id < first+IDsPerRole }
