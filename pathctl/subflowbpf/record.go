package subflowbpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
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

// decodeRecord turns a struct record of subflow.bpf.c into an event. now relates its
// timestamp to the wall clock; tick is the length of a jiffy.
func decodeRecord(b []byte, now monotonic, tick time.Duration) (Event, error) {
	var r subflowRecord
	if _, err := binary.Decode(b, binary.NativeEndian, &r); err != nil {
		return Event{}, fmt.Errorf("subflowbpf: record of %d bytes: %w", len(b), err)
	}
	e := Event{
		When:         now.time(r.Time),
		Token:        uapi.Token(r.Token),
		TCPState:     uapi.TCPState(r.State),
		RTO:          time.Duration(r.Rto) * tick,
		Retransmits:  int(r.Retransmits),
		SRTT:         time.Duration(r.Srtt>>3) * time.Microsecond,
		Cwnd:         r.Cwnd,
		InFlight:     r.PacketsOut,
		RetransOut:   r.RetransOut,
		LostOut:      r.LostOut,
		TotalRetrans: r.TotalRetrans,
	}
	if err := e.setAddrs(&r); err != nil {
		return Event{}, err
	}
	if err := e.setKind(&r, tick); err != nil {
		return Event{}, err
	}
	return e, nil
}

// setKind sets what the operation and its arguments tell.
func (e *Event) setKind(r *subflowRecord, tick time.Duration) error {
	first, second := r.Args[0], r.Args[1]
	switch r.Op {
	case unix.BPF_SOCK_OPS_RTO_CB: // icsk_retransmits, icsk_rto: tcp_write_timeout counts and backs off only afterwards
		e.Kind, e.Retransmits, e.RTO = Timeout, int(first)+1, time.Duration(second)*tick
	case unix.BPF_SOCK_OPS_RETRANS_CB: // sequence number, segments
		e.Kind, e.Segments = Retransmit, int(second)
	case unix.BPF_SOCK_OPS_STATE_CB: // old state, new state
		e.Kind, e.OldState, e.TCPState = State, uapi.TCPState(first), uapi.TCPState(second)
	case unix.BPF_SOCK_OPS_RTT_CB: // measured, smoothed
		e.Kind, e.MeasuredRTT = RTT, time.Duration(first)*time.Microsecond
	default:
		return fmt.Errorf("subflowbpf: record of unknown operation %d", r.Op)
	}
	return nil
}

func (e *Event) setAddrs(r *subflowRecord) error {
	var local, remote netip.Addr
	switch r.Family {
	case unix.AF_INET:
		local, remote = netip.AddrFrom4(r.Local4), netip.AddrFrom4(r.Remote4)
	case unix.AF_INET6:
		local, remote = netip.AddrFrom16(r.Local6).Unmap(), netip.AddrFrom16(r.Remote6).Unmap()
	default:
		return fmt.Errorf("subflowbpf: record of unknown address family %d", r.Family)
	}
	e.Local = netip.AddrPortFrom(local, uint16(r.LocalPort))
	e.Remote = netip.AddrPortFrom(remote, uint16(r.RemotePort))
	return nil
}
