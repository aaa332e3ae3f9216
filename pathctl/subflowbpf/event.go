package subflowbpf

import (
	"fmt"
	"net/netip"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// A Kind is what happened to a subflow.
type Kind uint8

const (
	// Timeout: the retransmission timer ran out.
	Timeout Kind = iota + 1
	// Retransmit: segments were sent again, after a timeout, by fast
	// retransmission or as a tail loss probe. The last comes about two
	// round-trip times after a silence began and is the earliest sign of it,
	// though often a false one.
	Retransmit
	// State: the TCP state changed. New subflows and the end of old ones
	// show so, too.
	State
	// RTT: a round-trip time was measured; only with Config.RTT, and never
	// with polling.
	RTT
)

// String returns the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Timeout:
		return "timeout"
	case Retransmit:
		return "retransmit"
	case State:
		return "state"
	case RTT:
		return "rtt"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// An Event is something that happened to one subflow. Numbers are those of the
// moment When.
type Event struct {
	Kind Kind
	// When is the kernel's time of the event with eBPF, the time of the
	// reading that showed it with polling. It has a monotonic part.
	When time.Time

	// Token is the connection's; unique within a network namespace. It is
	// zero after the connection's owner has closed it, while its subflows
	// are still being closed: the kernel takes the token away at once.
	Token uapi.Token
	// Local and Remote are the two ends of the subflow, IPv4 unmapped.
	Local, Remote netip.AddrPort

	// TCPState is the subflow's state, after the change where Kind is State.
	// A timeout in TCPSynSent is one of a subflow that is being opened.
	TCPState uapi.TCPState
	// OldState is the state before, where Kind is State; zero for a subflow
	// that polling has found.
	OldState uapi.TCPState

	// RTO is the retransmission timeout in force, 1 tick (1 to 10 ms) to
	// 120 s; for a Timeout the one that ran out. The next one is twice as long.
	RTO time.Duration
	// Retransmits counts timeouts in a row without an acknowledgement of
	// something new; for a Timeout this one included. With polling, a
	// Timeout with 0 says that no acknowledgement has come for longer than
	// the RTO (at least 200 ms), although the kernel's timer, put off by a
	// tail loss probe, has not run out yet.
	Retransmits int
	// Segments is how many segments were sent again, where Kind is
	// Retransmit: with polling since the reading before.
	Segments int
	// SRTT is the smoothed round-trip time, resolution a microsecond; zero
	// without a sample.
	SRTT time.Duration
	// MeasuredRTT is the sample, where Kind is RTT.
	MeasuredRTT time.Duration

	// Cwnd is the congestion window; InFlight counts segments sent and not
	// acknowledged, RetransOut those of them that were sent again, LostOut
	// those taken for lost. TotalRetrans counts segments sent again since
	// the subflow began. All in segments.
	Cwnd, InFlight, RetransOut, LostOut, TotalRetrans uint32
}

// String describes the event in one line, for logs.
func (e Event) String() string {
	s := fmt.Sprintf("%v of %v %v→%v", e.Kind, e.Token, e.Local, e.Remote)
	switch e.Kind {
	case Timeout:
		return fmt.Sprintf("%s: RTO %v, %d in a row, %d in flight, %v", s, e.RTO, e.Retransmits, e.InFlight, e.TCPState)
	case Retransmit:
		return fmt.Sprintf("%s: %d segments, %d in all", s, e.Segments, e.TotalRetrans)
	case State:
		return fmt.Sprintf("%s: %v→%v", s, e.OldState, e.TCPState)
	case RTT:
		return fmt.Sprintf("%s: %v, smoothed %v", s, e.MeasuredRTT, e.SRTT)
	}
	return s
}
