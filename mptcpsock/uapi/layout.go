package uapi

import "unsafe"

// The kernel's structures, field for field, in the byte order of the host. The
// tag is the kernel's name of the field, by which the BTF test compares offset
// and size. Padding is written out, so that the layout does not depend on how
// an architecture aligns 64-bit integers.

// rawInfo is struct mptcp_info of Linux 6.18.
type rawInfo struct {
	Subflows           uint8    `btf:"mptcpi_subflows"`
	AddAddrSignal      uint8    `btf:"mptcpi_add_addr_signal"`
	AddAddrAccepted    uint8    `btf:"mptcpi_add_addr_accepted"`
	SubflowsMax        uint8    `btf:"mptcpi_subflows_max"`
	AddAddrSignalMax   uint8    `btf:"mptcpi_add_addr_signal_max"`
	AddAddrAcceptedMax uint8    `btf:"mptcpi_add_addr_accepted_max"`
	_                  [2]uint8 // padding
	Flags              uint32   `btf:"mptcpi_flags"`
	Token              uint32   `btf:"mptcpi_token"`
	WriteSeq           uint64   `btf:"mptcpi_write_seq"`
	SndUna             uint64   `btf:"mptcpi_snd_una"`
	RcvNxt             uint64   `btf:"mptcpi_rcv_nxt"`
	LocalAddrUsed      uint8    `btf:"mptcpi_local_addr_used"`
	LocalAddrMax       uint8    `btf:"mptcpi_local_addr_max"`
	CsumEnabled        uint8    `btf:"mptcpi_csum_enabled"`
	_                  uint8    // padding; the 48 bytes of Linux 6.1 end inside the next field
	Retransmits        uint32   `btf:"mptcpi_retransmits" since:"6.5"`
	BytesRetrans       uint64   `btf:"mptcpi_bytes_retrans" since:"6.5"`
	BytesSent          uint64   `btf:"mptcpi_bytes_sent" since:"6.5"`
	BytesReceived      uint64   `btf:"mptcpi_bytes_received" since:"6.5"`
	BytesAcked         uint64   `btf:"mptcpi_bytes_acked" since:"6.5"`
	SubflowsTotal      uint8    `btf:"mptcpi_subflows_total" since:"6.8"`
	_                  [3]uint8 // laminar endpoints and reserved bytes
	LastDataSent       uint32   `btf:"mptcpi_last_data_sent" since:"6.10"`
	LastDataRecv       uint32   `btf:"mptcpi_last_data_recv" since:"6.10"`
	LastAckRecv        uint32   `btf:"mptcpi_last_ack_recv" since:"6.10"`
}

// rawTCPInfo is struct tcp_info up to the timeout counters of Linux 6.7.
type rawTCPInfo struct {
	State              uint8  `btf:"tcpi_state"`
	CAState            uint8  `btf:"tcpi_ca_state"`
	Retransmits        uint8  `btf:"tcpi_retransmits"`
	Probes             uint8  `btf:"tcpi_probes"`
	Backoff            uint8  `btf:"tcpi_backoff"`
	Options            uint8  `btf:"tcpi_options"`
	_                  uint8  // window scales, four bits each
	Bits               uint8  // tcpi_delivery_rate_app_limited and others
	RTO                uint32 `btf:"tcpi_rto"`
	ATO                uint32 `btf:"tcpi_ato"`
	SndMSS             uint32 `btf:"tcpi_snd_mss"`
	RcvMSS             uint32 `btf:"tcpi_rcv_mss"`
	Unacked            uint32 `btf:"tcpi_unacked"`
	Sacked             uint32 `btf:"tcpi_sacked"`
	Lost               uint32 `btf:"tcpi_lost"`
	Retrans            uint32 `btf:"tcpi_retrans"`
	Fackets            uint32 `btf:"tcpi_fackets"`
	LastDataSent       uint32 `btf:"tcpi_last_data_sent"`
	LastAckSent        uint32 `btf:"tcpi_last_ack_sent"`
	LastDataRecv       uint32 `btf:"tcpi_last_data_recv"`
	LastAckRecv        uint32 `btf:"tcpi_last_ack_recv"`
	PMTU               uint32 `btf:"tcpi_pmtu"`
	RcvSsthresh        uint32 `btf:"tcpi_rcv_ssthresh"`
	RTT                uint32 `btf:"tcpi_rtt"`
	RTTVar             uint32 `btf:"tcpi_rttvar"`
	SndSsthresh        uint32 `btf:"tcpi_snd_ssthresh"`
	SndCwnd            uint32 `btf:"tcpi_snd_cwnd"`
	AdvMSS             uint32 `btf:"tcpi_advmss"`
	Reordering         uint32 `btf:"tcpi_reordering"`
	RcvRTT             uint32 `btf:"tcpi_rcv_rtt"`
	RcvSpace           uint32 `btf:"tcpi_rcv_space"`
	TotalRetrans       uint32 `btf:"tcpi_total_retrans"`
	PacingRate         uint64 `btf:"tcpi_pacing_rate"`
	MaxPacingRate      uint64 `btf:"tcpi_max_pacing_rate"`
	BytesAcked         uint64 `btf:"tcpi_bytes_acked"`
	BytesReceived      uint64 `btf:"tcpi_bytes_received"`
	SegsOut            uint32 `btf:"tcpi_segs_out"`
	SegsIn             uint32 `btf:"tcpi_segs_in"`
	NotsentBytes       uint32 `btf:"tcpi_notsent_bytes"`
	MinRTT             uint32 `btf:"tcpi_min_rtt"`
	DataSegsIn         uint32 `btf:"tcpi_data_segs_in"`
	DataSegsOut        uint32 `btf:"tcpi_data_segs_out"`
	DeliveryRate       uint64 `btf:"tcpi_delivery_rate"`
	BusyTime           uint64 `btf:"tcpi_busy_time"`
	RwndLimited        uint64 `btf:"tcpi_rwnd_limited"`
	SndbufLimited      uint64 `btf:"tcpi_sndbuf_limited"`
	Delivered          uint32 `btf:"tcpi_delivered"`
	DeliveredCE        uint32 `btf:"tcpi_delivered_ce"`
	BytesSent          uint64 `btf:"tcpi_bytes_sent"`
	BytesRetrans       uint64 `btf:"tcpi_bytes_retrans"`
	DsackDups          uint32 `btf:"tcpi_dsack_dups"`
	ReordSeen          uint32 `btf:"tcpi_reord_seen"`
	RcvOoopack         uint32 `btf:"tcpi_rcv_ooopack"`
	SndWnd             uint32 `btf:"tcpi_snd_wnd"`
	RcvWnd             uint32 `btf:"tcpi_rcv_wnd" since:"6.2"`
	Rehash             uint32 `btf:"tcpi_rehash" since:"6.2"`
	TotalRTO           uint16 `btf:"tcpi_total_rto" since:"6.7"`
	TotalRTORecoveries uint16 `btf:"tcpi_total_rto_recoveries" since:"6.7"`
	TotalRTOTime       uint32 `btf:"tcpi_total_rto_time" since:"6.7"`
}

// rawSubflowData is struct mptcp_subflow_data, in front of the arrays of
// MPTCP_TCPINFO and MPTCP_SUBFLOW_ADDRS.
type rawSubflowData struct {
	SizeSubflowData uint32 `btf:"size_subflow_data"`
	NumSubflows     uint32 `btf:"num_subflows"`
	SizeKernel      uint32 `btf:"size_kernel"`
	SizeUser        uint32 `btf:"size_user"`
}

// rawSockaddr is struct __kernel_sockaddr_storage, read as sockaddr_in
// (Addr4) or sockaddr_in6 (Addr6).
type rawSockaddr struct {
	Family uint16
	Port   [2]byte // network byte order
	Addr4  [4]byte // sin_addr; sin6_flowinfo
	Addr6  [16]byte
	_      [104]byte
}

// rawSubflowAddrs is struct mptcp_subflow_addrs: two unnamed unions.
type rawSubflowAddrs struct {
	Local  rawSockaddr
	Remote rawSockaddr
}

// rawSubflowInfo is struct mptcp_subflow_info.
type rawSubflowInfo struct {
	ID    uint32          `btf:"id" since:"6.5"`
	_     [4]byte         // padding: sockaddr_storage is aligned like a pointer
	Addrs rawSubflowAddrs `btf:"addrs" since:"6.5"`
}

// rawFullInfo is the part of struct mptcp_full_info that stands before its
// mptcp_info, which alone grows.
type rawFullInfo struct {
	SizeTCPInfoKernel uint32 `btf:"size_tcpinfo_kernel" since:"6.5"`
	SizeTCPInfoUser   uint32 `btf:"size_tcpinfo_user" since:"6.5"`
	SizeSFInfoKernel  uint32 `btf:"size_sfinfo_kernel" since:"6.5"`
	SizeSFInfoUser    uint32 `btf:"size_sfinfo_user" since:"6.5"`
	NumSubflows       uint32 `btf:"num_subflows" since:"6.5"`
	SizeArraysUser    uint32 `btf:"size_arrays_user" since:"6.5"`
	SubflowInfo       uint64 `btf:"subflow_info" since:"6.5"`
	TCPInfo           uint64 `btf:"tcp_info" since:"6.5"`
}

// Sizes of the structures as this package knows them, in bytes: how large a
// buffer to hand to the kernel. The kernel fills no more than it knows itself.
const (
	InfoSize         = int(unsafe.Sizeof(rawInfo{}))
	TCPInfoSize      = int(unsafe.Sizeof(rawTCPInfo{}))
	SubflowDataSize  = int(unsafe.Sizeof(rawSubflowData{}))
	SubflowAddrsSize = int(unsafe.Sizeof(rawSubflowAddrs{}))
	SubflowInfoSize  = int(unsafe.Sizeof(rawSubflowInfo{}))
	FullInfoSize     = int(unsafe.Sizeof(rawFullInfo{})) + InfoSize
)

// raw is any of the structures above: fixed size, no pointers.
type raw interface {
	rawInfo | rawTCPInfo | rawSubflowData | rawSubflowAddrs | rawSubflowInfo | rawFullInfo
}

// overlay copies b over a zero T: bytes that b lacks stay zero, bytes beyond T
// are ignored. It copies, so b need not be aligned.
func overlay[T raw](b []byte) T {
	var t T
	copy(bytesOf(&t), b)
	return t
}

// bytesOf returns the memory of t.
func bytesOf[T raw](t *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(t)), unsafe.Sizeof(*t))
}

// The layouts must be the same on every architecture: a size that differs does
// not compile.
var (
	_ = [1]struct{}{}[InfoSize-96]
	_ = [1]struct{}{}[TCPInfoSize-248]
	_ = [1]struct{}{}[SubflowDataSize-16]
	_ = [1]struct{}{}[SubflowAddrsSize-256]
	_ = [1]struct{}{}[SubflowInfoSize-264]
	_ = [1]struct{}{}[FullInfoSize-136]
)
