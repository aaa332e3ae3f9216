package subflowbpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// What the program tells, enum in include/uapi/linux/bpf.h: BPF_SOCK_OPS_…
const (
	opConnect            = 3  // TCP_CONNECT_CB: before the SYN is sent
	opActiveEstablished  = 4  // ACTIVE_ESTABLISHED_CB
	opPassiveEstablished = 5  // PASSIVE_ESTABLISHED_CB
	opRTO                = 8  // args: icsk_retransmits, icsk_rto, expired
	opRetrans            = 9  // args: sequence number, segments, result
	opState              = 10 // args: old, new
	opRTT                = 12 // args: measured, smoothed; µs
)

// A record is what the program puts into the ring: 4-byte words in host order,
// the first two a timestamp. These are the offsets in bytes.
const (
	recTime        = 0 // 8 bytes, ns of CLOCK_MONOTONIC
	recOp          = 8
	recToken       = 12
	recFamily      = 16
	recState       = 20
	recArg0        = 24
	recArg1        = 28
	recRTO         = 32 // jiffies
	recRetransmits = 36
	recSRTT        = 40 // µs << 3, as in struct tcp_sock
	recCwnd        = 44
	recPacketsOut  = 48
	recRetransOut  = 52
	recTotal       = 56
	recLostOut     = 60
	recLocal4      = 64 // network order
	recRemote4     = 68
	recLocal6      = 72 // 16 bytes, network order
	recRemote6     = 88
	recLocalPort   = 104 // host order
	recRemotePort  = 108 // network order, in the last two bytes
	recordSize     = 112
)

// monotonic is a time on CLOCK_MONOTONIC together with the same moment as Go
// has it.
type monotonic struct {
	ns uint64
	at time.Time
}

// readClock reads both clocks. A thread that is put aside in between makes events
// look older than they are, never younger than now.
func readClock() monotonic {
	var ts unix.Timespec
	at := time.Now()
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // every kernel has it
	return monotonic{ns: uint64(ts.Nano()), at: at}
}

// time returns the time of a timestamp of the kernel.
func (m monotonic) time(ns uint64) time.Time {
	return m.at.Add(-time.Duration(m.ns - ns))
}

// decodeRecord turns a record into an event. now relates its timestamp to the
// wall clock; tick is the length of a jiffy.
func decodeRecord(b []byte, now monotonic, tick time.Duration) (Event, error) {
	if len(b) < recordSize {
		return Event{}, fmt.Errorf("subflowbpf: record of %d bytes, want %d", len(b), recordSize)
	}
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	e := Event{
		When:         now.time(binary.NativeEndian.Uint64(b[recTime:])),
		Token:        uapi.Token(word(recToken)),
		TCPState:     uapi.TCPState(word(recState)),
		RTO:          time.Duration(word(recRTO)) * tick,
		Retransmits:  int(word(recRetransmits)),
		SRTT:         time.Duration(word(recSRTT)>>3) * time.Microsecond,
		Cwnd:         word(recCwnd),
		InFlight:     word(recPacketsOut),
		RetransOut:   word(recRetransOut),
		LostOut:      word(recLostOut),
		TotalRetrans: word(recTotal),
	}
	if err := e.setAddrs(b, word(recFamily)); err != nil {
		return Event{}, err
	}
	if err := e.setKind(word(recOp), word(recArg0), word(recArg1), tick); err != nil {
		return Event{}, err
	}
	return e, nil
}

// setKind sets what is told by the operation and its arguments.
func (e *Event) setKind(op, arg0, arg1 uint32, tick time.Duration) error {
	switch op {
	case opRTO: // tcp_write_timeout counts and backs off only afterwards
		e.Kind, e.Retransmits, e.RTO = Timeout, int(arg0)+1, time.Duration(arg1)*tick
	case opRetrans:
		e.Kind, e.Segments = Retransmit, int(arg1)
	case opState:
		e.Kind, e.OldState, e.TCPState = State, uapi.TCPState(arg0), uapi.TCPState(arg1)
	case opRTT:
		e.Kind, e.MeasuredRTT = RTT, time.Duration(arg0)*time.Microsecond
	default:
		return fmt.Errorf("subflowbpf: record of unknown operation %d", op)
	}
	return nil
}

func (e *Event) setAddrs(b []byte, family uint32) error {
	localPort := uint16(binary.NativeEndian.Uint32(b[recLocalPort:]))
	remotePort := binary.BigEndian.Uint16(b[recRemotePort+2:])
	var local, remote netip.Addr
	switch family {
	case unix.AF_INET:
		local = netip.AddrFrom4([4]byte(b[recLocal4:]))
		remote = netip.AddrFrom4([4]byte(b[recRemote4:]))
	case unix.AF_INET6:
		local = netip.AddrFrom16([16]byte(b[recLocal6:])).Unmap()
		remote = netip.AddrFrom16([16]byte(b[recRemote6:])).Unmap()
	default:
		return fmt.Errorf("subflowbpf: record of unknown address family %d", family)
	}
	e.Local, e.Remote = netip.AddrPortFrom(local, localPort), netip.AddrPortFrom(remote, remotePort)
	return nil
}
