package rtowatch

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A subflow begins with the ten segments of RFC 6928, whatever its path: one that is
// 100 ms away needs four round trips more than its rate would ask for, and a transfer
// of a few seconds never makes up for them (docs/lab.md, simult). So it begins with
// what a path of windowRate carries in the round trip of its handshake. A slower path
// gets a queue of that one window, which bbr spreads over a third of a round trip.
const (
	windowRate  = 500_000 // bytes a second: 34 segments in 100 ms
	windowLeast = 10      // segments, RFC 6928
	windowMost  = 48
)

// setFirstWindow is TCP_BPF_IW of include/uapi/linux/bpf.h: the congestion window of a
// connection that has sent nothing yet.
const setFirstWindow = 1001

// firstWindow widens the window when a subflow begins; one whose SYN was repeated
// keeps the single segment that the kernel gives it.
func (p program) firstWindow() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxCwnd, asm.Word),
		asm.JLT.Imm(asm.R1, windowLeast, "exit"),
		asm.LoadMem(asm.R2, asm.R6, ctxMSS, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "exit"),
		asm.LoadMem(asm.R1, asm.R6, ctxSRTT, asm.Word), // eighths of microseconds
		asm.Mul.Imm(asm.R1, windowRate/8),
		asm.Div.Imm(asm.R1, 1e6),
		asm.Div.Reg(asm.R1, asm.R2),
		asm.JLE.Imm(asm.R1, windowLeast, "exit"),
		asm.JLE.Imm(asm.R1, windowMost, "window"),
		asm.Mov.Imm(asm.R1, windowMost),
		asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word).WithSymbol("window"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, unix.SOL_TCP),
		asm.Mov.Imm(asm.R3, setFirstWindow),
		asm.Mov.Reg(asm.R4, asm.RFP),
		asm.Add.Imm(asm.R4, -4),
		asm.Mov.Imm(asm.R5, 4),
		asm.FnSetsockopt.Call(),
	}
}
