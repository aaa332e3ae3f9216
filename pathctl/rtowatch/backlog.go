package rtowatch

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// The share of its window that a subflow may hold unsent, as a shift, and the
// least in bytes.
const (
	backlogShift = 2
	backlogLeast = 4096
)

// limitBacklog keeps what a subflow holds unsent to a quarter of its congestion
// window (TCP_NOTSENT_LOWAT), set anew with each round trip that is measured.
//
// The MPTCP scheduler gives a subflow data until its send buffer is full
// (net/mptcp/protocol.c, mptcp_subflow_get_send): 200 KB before they are sent,
// 0.3 s at 5 Mbit/s. What a dead subflow leaves behind must wait behind that.
// The kernel sets the limit of subflows to the highest, the socket option is for
// the connection as a whole, and the sysctl is for sockets that set none, so
// only eBPF can set it (Linux 5.17; older ones refuse, and nothing changes).
func (p program) limitBacklog() asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxOp, asm.Word),
		asm.JNE.Imm(asm.R1, opRTT, "record"),
		asm.LoadMem(asm.R1, asm.R6, ctxCwnd, asm.Word),
		asm.LoadMem(asm.R2, asm.R6, ctxMSS, asm.Word),
		asm.Mul.Reg(asm.R1, asm.R2),
		asm.RSh.Imm(asm.R1, backlogShift),
		asm.JGT.Imm(asm.R1, backlogLeast, "limit"),
		asm.Mov.Imm(asm.R1, backlogLeast),
		asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word).WithSymbol("limit"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, unix.SOL_TCP),
		asm.Mov.Imm(asm.R3, unix.TCP_NOTSENT_LOWAT),
		asm.Mov.Reg(asm.R4, asm.RFP),
		asm.Add.Imm(asm.R4, -4),
		asm.Mov.Imm(asm.R5, 4),
		asm.FnSetsockopt.Call(),
	}
	if !p.rtt {
		ins = append(ins, asm.Ja.Label("exit"))
	}
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol("record"))
}
