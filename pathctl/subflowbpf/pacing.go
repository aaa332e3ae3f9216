package subflowbpf

import (
	"encoding/binary"
	"errors"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

// pacing is what the program reads of a subflow's pacing rate.
type pacing struct {
	rate, most bpfenv.Field // struct tcp_sock, inside sock; bytes a second
	ops        bpfenv.Field // struct tcp_sock, inside inet_conn; a pointer
	name       bpfenv.Field // struct tcp_congestion_ops
}

// pacingOf finds it; nil where the kernel keeps it elsewhere.
func pacingOf(spec *btf.Spec) *pacing {
	var p pacing
	var errs [4]error
	p.rate, errs[0] = bpfenv.FindField(spec, "tcp_sock", "inet_conn", "icsk_inet", "sk", "sk_pacing_rate")
	p.most, errs[1] = bpfenv.FindField(spec, "tcp_sock", "inet_conn", "icsk_inet", "sk", "sk_max_pacing_rate")
	p.ops, errs[2] = bpfenv.FindField(spec, "tcp_sock", "inet_conn", "icsk_ca_ops")
	p.name, errs[3] = bpfenv.FindField(spec, "tcp_congestion_ops", "name")
	p.name.Size = 4 // the first of 16 bytes
	if errors.Join(errs[:]...) != nil || p.rate.Size != 8 || p.most.Size != 8 {
		return nil
	}
	return &p
}

// firstPace is what a subflow is taken to carry, in bytes a second, until its
// first data was acknowledged. The kernel paces the first ten segments at nothing.
const firstPace = 4_000_000

// paceGain is more than bbr asks for while it looks for its rate (2.89 times what
// was delivered), so that nothing of bbr's own is taken away.
const paceGain = 3

// The scheduler gives data to the subflow that would send them soonest, by what
// it holds and its pacing rate, and to none when that one is full
// (net/mptcp/protocol.c, mptcp_subflow_get_send). bbr begins with ten segments a
// round trip, times 2.89, and takes nothing back before its start-up is over
// (bbr_set_pacing_rate): 900 Mbit/s where the round trip is 0.4 ms and the link
// carries 10. Such a subflow gets a megabyte that it sends for a second, and the
// other one nothing at all for as long. So the rate is bounded until the first
// acknowledgement, and held to what was delivered from then on: bbr raises it to
// what it knows on the same acknowledgement. What was delivered says little while
// the program has little to send, so a rate that is plausible is left alone.

// begin bounds what a subflow that begins holds, and its rate, and sets its window.
func (p program) begin() asm.Instructions {
	if p.pacing == nil || !p.backlog || p.filter != nil {
		return nil
	}
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, ctxOp, asm.Word),
		asm.JEq.Imm(asm.R2, opConnect, "exit"),
	}
	ins = append(ins, p.holdLittle()...)
	ins = append(
		ins,
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
	)
	ins = append(ins, p.onlyBBR("exit")...)
	ins = append(ins, asm.StoreImm(asm.RFP, -4, firstPace, asm.Word))
	ins = append(ins, boundPace()...)
	return append(ins, p.firstWindow()...)
}

// truePace holds the rate to what was delivered. Overflow is no matter: a rate
// that passes 32 bits is left alone.
func (p program) truePace() asm.Instructions {
	if p.pacing == nil || !p.backlog {
		return nil
	}
	ins := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxOp, asm.Word),
		asm.JNE.Imm(asm.R1, opRTT, "paced"),
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "paced"),
		p.pacing.most.Load(asm.R8, asm.R0),
		asm.LoadMem(asm.R3, asm.R6, ctxDelivered, asm.Word),
		asm.LoadMem(asm.R4, asm.R6, ctxInterval, asm.Word),
		asm.JEq.Imm(asm.R4, 0, "free"),
		asm.LoadMem(asm.R5, asm.R6, ctxMSS, asm.Word),
		asm.Mul.Reg(asm.R3, asm.R5),
		asm.Mul.Imm(asm.R3, paceGain*1e6),
		asm.Div.Reg(asm.R3, asm.R4), // bytes a second
		// Not less than three windows a round trip, up to firstPace.
		asm.LoadMem(asm.R2, asm.R6, ctxSRTT, asm.Word),
		asm.RSh.Imm(asm.R2, 3),
		asm.JEq.Imm(asm.R2, 0, "free"),
		asm.LoadMem(asm.R4, asm.R6, ctxCwnd, asm.Word),
		asm.Mul.Reg(asm.R4, asm.R5),
		asm.Mul.Imm(asm.R4, paceGain*1e6),
		asm.Div.Reg(asm.R4, asm.R2),
		asm.JLE.Imm(asm.R4, firstPace, "least pace"),
		asm.Mov.Imm(asm.R4, firstPace),
		asm.JGE.Reg(asm.R3, asm.R4, "enough").WithSymbol("least pace"),
		asm.Mov.Reg(asm.R3, asm.R4),
		p.pacing.rate.Load(asm.R4, asm.R0).WithSymbol("enough"),
		asm.JLE.Reg(asm.R4, asm.R3, "free"),
		asm.StoreMem(asm.RFP, -4, asm.R3, asm.Word),
		asm.LoadImm(asm.R5, 1<<32-2, asm.DWord),
		asm.JGT.Reg(asm.R3, asm.R5, "free"),
	}
	ins = append(ins, p.onlyBBR("free")...)
	ins = append(ins, boundPace()...)
	ins = append(ins,
		asm.Ja.Label("unbound"),
		// R8 is the sign-extended ~0 where nothing bounds it.
		asm.JEq.Imm(asm.R8, -1, "paced").WithSymbol("free"),
		asm.StoreImm(asm.RFP, -4, -1, asm.Word).WithSymbol("unbound"),
	)
	ins = append(ins, boundPace()...)
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol("paced"))
}

// onlyBBR leaves subflows with another congestion control. R0 is the tcp_sock.
func (p program) onlyBBR(other string) asm.Instructions {
	return asm.Instructions{
		p.pacing.ops.Load(asm.R1, asm.R0),
		asm.JEq.Imm(asm.R1, 0, other),
		p.pacing.name.Load(asm.R1, asm.R1),
		asm.LoadImm(asm.R2, int64(binary.NativeEndian.Uint32([]byte("bbr\x00"))), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, other),
	}
}

// boundPace sets what the stack holds at -4 as the most that the rate may be;
// all ones is no bound. The rate itself stays as low when the bound is lifted.
func boundPace() asm.Instructions { return setOption(unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE) }
