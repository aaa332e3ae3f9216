package subflowbpf

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// The least that a subflow may hold unsent: a share of its window, as a shift,
// and bytes. The most is a gigabyte, where the option ends.
const (
	backlogShift = 2
	backlogLeast = 4096
	backlogMost  = 1 << 30
)

// limitBacklog sets what a subflow may hold unsent (TCP_NOTSENT_LOWAT), anew with
// each round trip that is measured: its rate, window over round trip, times what
// Limits.Linger leaves beside the round trip.
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
	ins := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxOp, asm.Word),
		asm.JNE.Imm(asm.R1, opRTT, "measured"),
	}
	ins = append(ins, p.findLimits()...)
	ins = append(ins,
		asm.JEq.Imm(asm.R0, 0, done),
		asm.LoadMem(asm.R1, asm.R0, limitsLinger, asm.Word), // µs
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
	)
	ins = append(ins, setOption(unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT)...)
	return append(ins,
		asm.Ja.Label(done),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("measured"),
	)
}
