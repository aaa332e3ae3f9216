// Package uapi knows how the Linux kernel lays out what MPTCP tells user
// space: the structures behind the socket options MPTCP_INFO, MPTCP_TCPINFO,
// MPTCP_SUBFLOW_ADDRS and MPTCP_FULL_INFO, their constants, and the ids that
// sockets and the path manager's netlink family have in common.
//
//	info, err := uapi.DecodeInfo(answer)  // bytes of struct mptcp_info
//	if err != nil { … }                   // *uapi.ShortError: cut off
//	fmt.Println(info.Token, info.SubflowsTotal)
//
// The structures grow from kernel to kernel. Every decoder therefore works by
// length: what a shorter, older structure lacks is left zero, with a …Known
// field where zero could be mistaken for a value, and what a longer, newer one
// has on top is ignored. Only an answer that lacks what every kernel since 6.1
// gives is an error. A test holds the layouts against the BTF of the running
// kernel.
//
// The package makes no system call, opens no socket and imports only the
// standard library: mptcpsock asks the questions.
package uapi
