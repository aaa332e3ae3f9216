package uapi

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// TCPInfo is what the kernel tells about one TCP connection or one subflow:
// struct tcp_info. Counters run since the subflow began.
type TCPInfo struct {
	State   TCPState
	CAState CAState

	// RTT is the smoothed round-trip time and RTTVar its mean deviation.
	// MinRTT is the least seen within the last five minutes
	// (net.ipv4.tcp_min_rtt_wlen), zero until there is a sample. RcvRTT is
	// the receiver's estimate. Resolution one microsecond.
	RTT, RTTVar, MinRTT, RcvRTT time.Duration
	// RTO is the retransmission timeout now, back-off included.
	RTO time.Duration
	// Retransmits counts the timeouts of the segment at the head of the
	// queue, Probes the unanswered zero-window or keep-alive probes, and
	// Backoff how often RTO has been doubled; all are zero again after
	// forward progress.
	Retransmits, Probes, Backoff uint8

	// Segments in flight: sent and not acknowledged, of these selectively
	// acknowledged, taken for lost, and sent again.
	Unacked, Sacked, Lost, Retrans uint32
	// TotalRetrans counts segments sent again, DsackDups those that the peer
	// reported as needless (RFC 2883).
	TotalRetrans, DsackDups uint32
	// Delivered counts segments that the peer acknowledged, selectively or
	// not.
	Delivered uint32

	// SndCwnd is the congestion window in segments of SndMSS bytes,
	// SndSsthresh the slow start threshold in segments, math.MaxInt32 while
	// there is none.
	SndCwnd, SndSsthresh uint32
	// SndMSS and RcvMSS are the segment sizes in bytes, PMTU the path MTU.
	SndMSS, RcvMSS, PMTU uint32
	// Reordering is the reordering degree in segments.
	Reordering uint32

	// The time since data was last sent and received, and since the last
	// acknowledgement; resolution one jiffy, at best one millisecond. On a
	// subflow without data yet they count from its creation.
	LastDataSent, LastDataReceived, LastAckReceived time.Duration

	// PacingRate is the rate at which the sender spaces segments,
	// math.MaxUint64 when unlimited; DeliveryRate the latest goodput
	// sample. Both in bytes per second.
	PacingRate, DeliveryRate uint64
	// AppLimited says that DeliveryRate was bounded by what the application
	// had to send, so that the path may be able to carry more.
	AppLimited bool

	// Payload bytes. BytesSent includes BytesRetrans.
	BytesSent, BytesRetrans, BytesAcked, BytesReceived uint64
	// NotsentBytes is how much is queued and not sent yet.
	NotsentBytes uint32
	// Segments, with and without those that carry no payload.
	SegsOut, SegsIn, DataSegsOut, DataSegsIn uint32

	// BusyTime is how long there was data to send; RwndLimited and
	// SndbufLimited how much of that the peer's window and our own buffer
	// held it up.
	BusyTime, RwndLimited, SndbufLimited time.Duration

	// SndWnd is the window that the peer grants, in bytes.
	SndWnd uint32
	// RcvWnd is the window that we grant, in bytes; Rehash counts how often
	// the kernel changed the flow hash because of timeouts. Linux 6.2;
	// RcvWndKnown is false before.
	RcvWnd, Rehash uint32
	RcvWndKnown    bool
	// TotalRTO counts retransmission timeouts, TotalRTORecoveries how often
	// the connection came back from them, TotalRTOTime how long that took
	// in all. Linux 6.7; TimeoutsKnown is false before.
	TotalRTO, TotalRTORecoveries uint16
	TotalRTOTime                 time.Duration
	TimeoutsKnown                bool
}

// The ends of the generations of struct tcp_info, in bytes.
const (
	tcpInfoMin         = int(unsafe.Offsetof(rawTCPInfo{}.RcvWnd))   // Linux 5.4 to 6.1
	tcpInfoEndRcvWnd   = int(unsafe.Offsetof(rawTCPInfo{}.TotalRTO)) // Linux 6.2
	tcpInfoEndTimeouts = TCPInfoSize                                 // Linux 6.7
)

// DecodeTCPInfo decodes struct tcp_info as far as b goes. The error is a
// *ShortError.
func DecodeTCPInfo(b []byte) (TCPInfo, error) {
	if len(b) < tcpInfoMin {
		return TCPInfo{}, &ShortError{Struct: "tcp_info", Len: len(b), Min: tcpInfoMin}
	}
	r := overlay[rawTCPInfo](b)
	t := TCPInfo{
		State:            TCPState(r.State),
		CAState:          CAState(r.CAState),
		RTT:              micros(uint64(r.RTT)),
		RTTVar:           micros(uint64(r.RTTVar)),
		MinRTT:           minRTT(r.MinRTT),
		RcvRTT:           micros(uint64(r.RcvRTT)),
		RTO:              micros(uint64(r.RTO)),
		Retransmits:      r.Retransmits,
		Probes:           r.Probes,
		Backoff:          r.Backoff,
		Unacked:          r.Unacked,
		Sacked:           r.Sacked,
		Lost:             r.Lost,
		Retrans:          r.Retrans,
		TotalRetrans:     r.TotalRetrans,
		DsackDups:        r.DsackDups,
		Delivered:        r.Delivered,
		SndCwnd:          r.SndCwnd,
		SndSsthresh:      r.SndSsthresh,
		SndMSS:           r.SndMSS,
		RcvMSS:           r.RcvMSS,
		PMTU:             r.PMTU,
		Reordering:       r.Reordering,
		LastDataSent:     millis(r.LastDataSent),
		LastDataReceived: millis(r.LastDataRecv),
		LastAckReceived:  millis(r.LastAckRecv),
		PacingRate:       r.PacingRate,
		DeliveryRate:     r.DeliveryRate,
		AppLimited:       r.Bits&appLimitedBit != 0,
		BytesSent:        r.BytesSent,
		BytesRetrans:     r.BytesRetrans,
		BytesAcked:       r.BytesAcked,
		BytesReceived:    r.BytesReceived,
		NotsentBytes:     r.NotsentBytes,
		SegsOut:          r.SegsOut,
		SegsIn:           r.SegsIn,
		DataSegsOut:      r.DataSegsOut,
		DataSegsIn:       r.DataSegsIn,
		BusyTime:         micros(r.BusyTime),
		RwndLimited:      micros(r.RwndLimited),
		SndbufLimited:    micros(r.SndbufLimited),
		SndWnd:           r.SndWnd,
	}
	if len(b) >= tcpInfoEndRcvWnd {
		t.RcvWndKnown = true
		t.RcvWnd, t.Rehash = r.RcvWnd, r.Rehash
	}
	if len(b) >= tcpInfoEndTimeouts {
		t.TimeoutsKnown = true
		t.TotalRTO, t.TotalRTORecoveries = r.TotalRTO, r.TotalRTORecoveries
		t.TotalRTOTime = millis(r.TotalRTOTime)
	}
	return t, nil
}

// minRTT maps the kernel's ~0, which stands for "no sample yet" (tcp_min_rtt,
// include/net/tcp.h), to zero.
func minRTT(v uint32) time.Duration {
	if v == math.MaxUint32 {
		return 0
	}
	return micros(uint64(v))
}

// appLimitedBit is tcpi_delivery_rate_app_limited, the first bit field of its
// byte: compilers give the first field the lowest bit on little-endian hosts
// and the highest on big-endian ones.
var appLimitedBit = func() uint8 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return 1 << 0
	}
	return 1 << 7
}()

// A TCPState is the state of a TCP connection, include/net/tcp_states.h.
type TCPState uint8

// The states of a TCP connection.
const (
	TCPEstablished TCPState = iota + 1
	TCPSynSent
	TCPSynRecv
	TCPFinWait1
	TCPFinWait2
	TCPTimeWait
	TCPClose
	TCPCloseWait
	TCPLastAck
	TCPListen
	TCPClosing
	TCPNewSynRecv
)

var tcpStateNames = [...]string{
	TCPEstablished: "ESTABLISHED",
	TCPSynSent:     "SYN-SENT",
	TCPSynRecv:     "SYN-RECEIVED",
	TCPFinWait1:    "FIN-WAIT-1",
	TCPFinWait2:    "FIN-WAIT-2",
	TCPTimeWait:    "TIME-WAIT",
	TCPClose:       "CLOSED",
	TCPCloseWait:   "CLOSE-WAIT",
	TCPLastAck:     "LAST-ACK",
	TCPListen:      "LISTEN",
	TCPClosing:     "CLOSING",
	TCPNewSynRecv:  "NEW-SYN-RECEIVED",
}

// String returns the name of RFC 9293.
func (s TCPState) String() string {
	if s > 0 && int(s) < len(tcpStateNames) {
		return tcpStateNames[s]
	}
	return fmt.Sprintf("TCPState(%d)", uint8(s))
}

// Closing reports whether either end has begun to close, or has closed. A
// subflow carries nothing new then: MPTCP closes the directions of a connection
// at its own level (DATA_FIN, RFC 8684 section 3.3.3).
func (s TCPState) Closing() bool {
	switch s {
	case TCPEstablished, TCPSynSent, TCPSynRecv, TCPNewSynRecv:
		return false
	}
	return true
}

// A CAState is the state of loss recovery, enum tcp_ca_state.
type CAState uint8

// The states of loss recovery.
const (
	CAOpen     CAState = iota // nothing unusual
	CADisorder                // duplicate acknowledgements or SACKs
	CACWR                     // window reduced on request (ECN, local congestion)
	CARecovery                // fast retransmit
	CALoss                    // after a retransmission timeout
)

var caStateNames = [...]string{"open", "disorder", "cwr", "recovery", "loss"}

// String returns the kernel's name in lower case.
func (s CAState) String() string {
	if int(s) < len(caStateNames) {
		return caStateNames[s]
	}
	return fmt.Sprintf("CAState(%d)", uint8(s))
}
