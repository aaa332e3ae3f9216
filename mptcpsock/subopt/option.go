package subopt

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// An Option is a socket option of a subflow.
type Option uint8

const (
	// Congestion is the name of the congestion control, a Text of 1 to 15
	// bytes (TCP_CONGESTION). The kernel must have it already: none is loaded
	// as a module for this. tcp_allowed_congestion_control does not count.
	Congestion Option = iota + 1
	// Mark is the mark for routing and packet filters, a Number of 32 bits
	// (SO_MARK). The subflow's route is looked up again; its address stays.
	Mark
	// TOS is the type of service of IPv4 or the traffic class of IPv6, a
	// Number of 0 to 252 without the two lowest bits, which are the kernel's
	// (IP_TOS, IPV6_TCLASS). Older kernels, 6.1 and 6.8 among them, do not let
	// it be set over IPv4 on an IPv6 socket, which a dual-stack dialer's first
	// subflow is and what a dual-stack listener accepts: the error then
	// matches ErrNotSupported. It can be read there.
	TOS
	// MinRTO is the least retransmission timeout, a Duration of 2 ticks
	// (2 to 20 ms, by CONFIG_HZ) to 200 ms, rounded up to ticks
	// (TCP_BPF_RTO_MIN). The subflow's timeout follows with its next
	// round-trip sample.
	MinRTO
	// MaxDelayedAck is how long an acknowledgement is put off at most, a
	// Duration of 2 ticks to 200 ms, rounded up to ticks
	// (TCP_BPF_DELACK_MAX).
	MaxDelayedAck
	// UserTimeout is after how long without an acknowledgement the subflow is
	// given up, a Duration in whole milliseconds; 0 is the kernel's rule,
	// about 16 minutes (TCP_USER_TIMEOUT).
	UserTimeout
	// Priority is that of the packets in the host's queues, a Number of 31
	// bits (SO_PRIORITY). Setting TOS over IPv4 changes it, too.
	Priority
	// PacingRate bounds the rate, a Number of bytes per second;
	// 2³²-1 is no bound (SO_MAX_PACING_RATE).
	PacingRate
	// NotSentLowat bounds what waits unsent in the subflow, a Number of bytes
	// of 32 bits; 0 is net.ipv4.tcp_notsent_lowat (TCP_NOTSENT_LOWAT).
	NotSentLowat
)

// A fieldID names a member of a socket that tells an option's value.
type fieldID uint8

const (
	fieldTOS fieldID = iota + 1
	fieldMinRTO
	fieldMaxDelayedAck
)

// A spec is what there is to know of an option.
type spec struct {
	name        string
	kind        kind
	level, code uint32
	// unit is what the kernel counts a Duration in.
	unit time.Duration
	// most is the largest number that the kernel gets.
	most uint64
	// field is the member of the socket that tells the value where
	// getsockopt does not on every kernel; 0 where it does.
	field fieldID
}

var specs = map[Option]spec{
	Congestion:    {name: "congestion control", kind: kindText, level: unix.IPPROTO_TCP, code: unix.TCP_CONGESTION},
	Mark:          {name: "mark", kind: kindNumber, level: unix.SOL_SOCKET, code: unix.SO_MARK, most: math.MaxUint32},
	TOS:           {name: "TOS", kind: kindNumber, level: unix.IPPROTO_IP, code: unix.IP_TOS, most: 0xff &^ ecnMask, field: fieldTOS},
	MinRTO:        {name: "minimum RTO", kind: kindDuration, level: unix.IPPROTO_TCP, code: unix.TCP_BPF_RTO_MIN, unit: time.Microsecond, most: 200_000, field: fieldMinRTO},
	MaxDelayedAck: {name: "maximum delayed ACK", kind: kindDuration, level: unix.IPPROTO_TCP, code: unix.TCP_BPF_DELACK_MAX, unit: time.Microsecond, most: 200_000, field: fieldMaxDelayedAck},
	UserTimeout:   {name: "user timeout", kind: kindDuration, level: unix.IPPROTO_TCP, code: unix.TCP_USER_TIMEOUT, unit: time.Millisecond, most: math.MaxInt32},
	Priority:      {name: "priority", kind: kindNumber, level: unix.SOL_SOCKET, code: unix.SO_PRIORITY, most: math.MaxInt32},
	PacingRate:    {name: "pacing rate", kind: kindNumber, level: unix.SOL_SOCKET, code: unix.SO_MAX_PACING_RATE, most: math.MaxUint32},
	NotSentLowat:  {name: "not-sent low-water mark", kind: kindNumber, level: unix.IPPROTO_TCP, code: unix.TCP_NOTSENT_LOWAT, most: math.MaxUint32},
}

// ecnMask are the bits of TOS that belong to congestion notification (RFC 3168),
// which a TCP socket does not let be set.
const ecnMask = 3

// String returns the name for people.
func (o Option) String() string {
	if s, ok := specs[o]; ok {
		return s.name
	}
	return fmt.Sprintf("option(%d)", uint8(o))
}

// over returns the option as it is called on a subflow over IPv6.
func (o Option) over(ipv6 bool) spec {
	s := specs[o]
	if o == TOS && ipv6 {
		s.level, s.code, s.field = unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0
	}
	return s
}
