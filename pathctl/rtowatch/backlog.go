package rtowatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// The least that a subflow may hold unsent: a share of its window, as a shift,
// and bytes. The most is a gigabyte, where the option ends.
const (
	backlogShift = 2
	backlogLeast = 4096
	backlogMost  = 1 << 30
)

// SetLinger bounds how long a byte waits and travels on each subflow of a
// connection, from when the scheduler gives it to the subflow until it is
// acknowledged: the rest waits in the connection's own queue, from where it can
// still take any path. d is 0 to 1 h; with polling, and before Linux 5.17,
// nothing is bounded.
//
// The scheduler fills the subflow on which a byte would linger least, and waits
// when that one is full (net/mptcp/protocol.c, mptcp_subflow_get_send). A bound
// below the round trip of the slowest subflow in use would therefore idle it.
func (w *Watcher) SetLinger(t uapi.Token, d time.Duration) error {
	return w.use(func() error { return w.sensor.linger(t, min(max(d, 0), time.Hour)) })
}

func (s *bpfSensor) linger(t uapi.Token, d time.Duration) error {
	if s.lingers == nil {
		return nil
	}
	if err := s.lingers.Put(uint32(t), uint32(d.Microseconds())); err != nil {
		return fmt.Errorf("rtowatch: bound the queues of %v: %w", t, err)
	}
	return nil
}

func (s *bpfSensor) forgetLinger(t uapi.Token) error {
	if s.lingers == nil {
		return nil
	}
	if err := s.lingers.Delete(uint32(t)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("rtowatch: forget the bound of %v: %w", t, err)
	}
	return nil
}

// limitBacklog sets what a subflow may hold unsent (TCP_NOTSENT_LOWAT), anew with
// each round trip that is measured: its rate, window over round trip, times what
// SetLinger leaves beside the round trip.
//
// Without a bound the scheduler gives a subflow data until its send buffer is
// full: 200 KB before they are sent, 0.3 s at 5 Mbit/s. What a dead subflow
// leaves behind must wait behind that. The kernel sets the limit of subflows to
// the highest, the socket option is for the connection as a whole, and the sysctl
// is for sockets that set none, so only eBPF can set it (Linux 5.17; older ones
// refuse, and nothing changes).
func (p program) limitBacklog() asm.Instructions {
	done := "exit"
	if p.rtt {
		done = "measured"
	}
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxOp, asm.Word),
		asm.JNE.Imm(asm.R1, opRTT, "measured"),
		asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word),
		asm.LoadMapPtr(asm.R1, p.lingers),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, done),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word), // µs to linger
		asm.LoadMem(asm.R2, asm.R6, ctxCwnd, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, ctxMSS, asm.Word),
		asm.Mul.Reg(asm.R2, asm.R3), // the window in bytes
		asm.LoadMem(asm.R4, asm.R6, ctxSRTT, asm.Word),
		asm.RSh.Imm(asm.R4, 3), // µs
		asm.JEq.Imm(asm.R4, 0, done),
		asm.Mov.Imm(asm.R5, 0),
		asm.JLE.Reg(asm.R1, asm.R4, "share"),
		asm.Mov.Reg(asm.R5, asm.R1),
		asm.Sub.Reg(asm.R5, asm.R4),
		asm.Mul.Reg(asm.R5, asm.R2),
		asm.Div.Reg(asm.R5, asm.R4),
		asm.RSh.Imm(asm.R2, backlogShift).WithSymbol("share"),
		asm.JGE.Reg(asm.R5, asm.R2, "least"),
		asm.Mov.Reg(asm.R5, asm.R2),
		asm.JGE.Imm(asm.R5, backlogLeast, "most").WithSymbol("least"),
		asm.Mov.Imm(asm.R5, backlogLeast),
		asm.JLE.Imm(asm.R5, backlogMost, "limit").WithSymbol("most"),
		asm.Mov.Imm(asm.R5, backlogMost),
		asm.StoreMem(asm.RFP, -4, asm.R5, asm.Word).WithSymbol("limit"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, unix.SOL_TCP),
		asm.Mov.Imm(asm.R3, unix.TCP_NOTSENT_LOWAT),
		asm.Mov.Reg(asm.R4, asm.RFP),
		asm.Add.Imm(asm.R4, -4),
		asm.Mov.Imm(asm.R5, 4),
		asm.FnSetsockopt.Call(),
		asm.Ja.Label(done),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("measured"),
	}
}

func lingersSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: "mpproxy_linger", Type: ebpf.Hash, KeySize: 4, ValueSize: 4,
		MaxEntries: maxTokens, Flags: unix.BPF_F_NO_PREALLOC,
	}
}
