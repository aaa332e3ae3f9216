package subopt

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Members of struct bpf_iter__tcp and struct bpf_iter_meta
// (include/linux/bpf.h, net/ipv4/tcp_ipv4.c), which the kernel keeps stable.
const (
	iterMeta = 0
	iterSock = 8
	metaSeq  = 0
)

// A walkProgram is run by the kernel for each TCP socket of a network namespace,
// with the socket locked.
type walkProgram struct {
	fields
	request int // descriptor of the map
}

func requestSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "mpproxy_subopt", Type: ebpf.Array, KeySize: 4, ValueSize: reqSize, MaxEntries: 1}
}

func (p walkProgram) spec() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: "mpproxy_subopt", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "tcp",
		License: "Dual MIT/GPL", Instructions: p.instructions(),
	}
}

// instructions returns the program. Registers that survive calls: R6 is the
// context, R7 the socket, R8 the request.
func (p walkProgram) instructions() asm.Instructions {
	ins := p.selectSocket()
	ins = append(ins, p.look()...)
	ins = append(ins, p.call()...)
	ins = append(ins, p.report()...)
	return append(ins,
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	)
}

// selectSocket leaves what is not the subflow of the request. Sockets in
// TIME_WAIT, and those whose handshake is not complete, are no struct tcp_sock.
func (p walkProgram) selectSocket() asm.Instructions {
	const at = -endsSize
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, iterSock, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "exit"),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Reg(asm.R7, asm.R0),
	}
	ins = append(ins, p.fillEnds(at)...)
	ins = append(ins, asm.LoadMapValue(asm.R8, p.request, 0))
	for word := int16(0); word < endsSize; word += 8 {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.RFP, at+word, asm.DWord),
			asm.LoadMem(asm.R2, asm.R8, reqEnds+word, asm.DWord),
			asm.JNE.Reg(asm.R1, asm.R2, "exit"),
		)
	}
	return ins
}

// look copies members of the socket.
func (p walkProgram) look() asm.Instructions {
	return asm.Instructions{
		p.tos.Load(asm.R1, asm.R7),
		asm.StoreMem(asm.R8, reqTOS, asm.R1, asm.Word),
		p.minRTO.Load(asm.R1, asm.R7),
		asm.StoreMem(asm.R8, reqMinRTO, asm.R1, asm.Word),
		p.maxDelayedAck.Load(asm.R1, asm.R7),
		asm.StoreMem(asm.R8, reqMaxAck, asm.R1, asm.Word),
		asm.StoreImm(asm.R8, reqAnswer, 0, asm.Word),
	}
}

// call sets or gets the option.
func (p walkProgram) call() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R9, asm.R8, reqVerb, asm.Word),
		asm.JEq.Imm(asm.R9, int32(verbLook), "report"),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.LoadMem(asm.R2, asm.R8, reqLevel, asm.Word),
		asm.LoadMem(asm.R3, asm.R8, reqCode, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R8),
		asm.Add.Imm(asm.R4, reqValue),
		asm.LoadMem(asm.R5, asm.R8, reqLength, asm.Word),
		asm.JEq.Imm(asm.R5, 0, "exit"), // the verifier wants bounds
		asm.JGT.Imm(asm.R5, valueSize, "exit"),
		asm.JEq.Imm(asm.R9, int32(verbGet), "get"),
		asm.FnSetsockopt.Call(),
		asm.Ja.Label("answer"),
		asm.FnGetsockopt.Call().WithSymbol("get"),
		asm.StoreMem(asm.R8, reqAnswer, asm.R0, asm.Word).WithSymbol("answer"),
	}
}

// report hands the request back to the reader, who then stops the walk.
func (p walkProgram) report() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, iterMeta, asm.DWord).WithSymbol("report"),
		asm.LoadMem(asm.R1, asm.R1, metaSeq, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.R8),
		asm.Mov.Imm(asm.R3, reqSize),
		asm.FnSeqWrite.Call(),
	}
}
