package subopt

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Offsets into struct bpf_sock_ops (include/uapi/linux/bpf.h), which the
// verifier translates, and the two moments at which a subflow begins. A test
// holds them against the running kernel's types.
const (
	ctxOp         = 0
	ctxIsFullsock = 72
	ctxSk         = 184

	opConnect            = 3 // BPF_SOCK_OPS_TCP_CONNECT_CB: before the SYN is sent
	opPassiveEstablished = 5 // BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: still in SYN_RECV
)

// A hookProgram applies the rules to each subflow of the cgroup that begins.
type hookProgram struct {
	fields
	cookie         uint64 // of the network namespace
	rules, tallies int    // descriptors of the maps
}

// maxScopes bounds the cookies and ports that have rules.
const maxScopes = 1 << 16

func rulesSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: "mpproxy_rules", Type: ebpf.Hash, KeySize: 8, ValueSize: MaxRulesPerScope * entrySize,
		MaxEntries: maxScopes, Flags: unix.BPF_F_NO_PREALLOC,
	}
}

func talliesSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: "mpproxy_tallies", Type: ebpf.Hash, KeySize: 4, ValueSize: tallySize,
		MaxEntries: maxScopes * MaxRulesPerScope, Flags: unix.BPF_F_NO_PREALLOC,
	}
}

func (p hookProgram) spec() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: "mpproxy_subopt", Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps,
		License: "Dual MIT/GPL", Instructions: p.instructions(),
	}
}

// Where things lie on the stack.
const (
	stackEnds  = -endsSize
	stackScope = stackEnds - 8
	stackID    = stackScope - 8
)

// instructions returns the program. Registers that survive calls: R6 is the
// context, R7 the socket, R8 the rules of a scope, R9 scratch.
//
// It returns 1 in all cases: 0 would make the kernel ignore the answers of other
// programs on the cgroup. It never writes ctx.reply, for the same reason.
func (p hookProgram) instructions() asm.Instructions {
	ins := p.selectSubflow()
	ins = append(ins, p.fillEnds(stackEnds)...)
	ins = append(ins, p.portRules()...)
	ins = append(ins, p.cookieRules()...)
	return append(ins,
		asm.Mov.Imm(asm.R0, 1).WithSymbol("exit"),
		asm.Return(),
	)
}

// selectSubflow leaves what is no subflow of our namespace that begins. It loads
// the socket, and the connection's cookie into R9.
func (p hookProgram) selectSubflow() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, ctxOp, asm.Word),
		asm.JEq.Imm(asm.R2, opConnect, "begins"),
		asm.JNE.Imm(asm.R2, opPassiveEstablished, "exit"),
		asm.LoadMem(asm.R2, asm.R6, ctxIsFullsock, asm.Word).WithSymbol("begins"),
		asm.JEq.Imm(asm.R2, 0, "exit"),
		asm.LoadMem(asm.R7, asm.R6, ctxSk, asm.DWord),
		asm.JEq.Imm(asm.R7, 0, "exit"),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.FnSkcToMptcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		p.fields.cookie.Load(asm.R9, asm.R0),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnGetNetnsCookie.Call(),
		asm.LoadImm(asm.R1, int64(p.cookie), asm.DWord),
		asm.JNE.Reg(asm.R0, asm.R1, "exit"),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Reg(asm.R7, asm.R0),
	}
}

// portRules applies those of the local port, before those of the cookie: the
// latter say more and so have the last word.
func (p hookProgram) portRules() asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMem(asm.R1, asm.RFP, stackEnds+endsLocalPort, asm.Half),
		asm.LoadImm(asm.R2, int64(-1<<63), asm.DWord), // portScope
		asm.Or.Reg(asm.R1, asm.R2),
		asm.StoreMem(asm.RFP, stackScope, asm.R1, asm.DWord),
	}
	return append(ins, p.apply("cookie")...)
}

// cookieRules is where "cookie" begins.
func (p hookProgram) cookieRules() asm.Instructions {
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R9).WithSymbol("cookie"),
		asm.JEq.Imm(asm.R1, 0, "exit"),
		asm.StoreMem(asm.RFP, stackScope, asm.R1, asm.DWord),
	}
	return append(ins, p.apply("exit")...)
}

// apply applies the rules of the scope on the stack, in their order, and goes on
// at next.
func (p hookProgram) apply(next string) asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMapPtr(asm.R1, p.rules),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackScope),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, next),
		asm.Mov.Reg(asm.R8, asm.R0),
	}
	for i := range MaxRulesPerScope {
		rule := p.applyOne(int16(i*entrySize), fmt.Sprintf("%s-%d", next, i+1), next)
		if i > 0 {
			rule[0] = rule[0].WithSymbol(fmt.Sprintf("%s-%d", next, i))
		}
		ins = append(ins, rule...)
	}
	return append(ins, asm.Ja.Label(next).WithSymbol(fmt.Sprintf("%s-%d", next, MaxRulesPerScope)))
}

// applyOne applies the rule at an offset, if it is for this subflow, and goes on
// at next, or at end if there is none.
func (p hookProgram) applyOne(at int16, next, end string) asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMem(asm.R5, asm.R8, at+entryLength, asm.Word),
		asm.JEq.Imm(asm.R5, 0, end),
		asm.JGT.Imm(asm.R5, valueSize, end), // the verifier wants a bound
	}
	for word := int16(0); word < endsSize; word += 8 {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.RFP, stackEnds+word, asm.DWord),
			asm.LoadMem(asm.R2, asm.R8, at+entryMask+word, asm.DWord),
			asm.And.Reg(asm.R1, asm.R2),
			asm.LoadMem(asm.R2, asm.R8, at+entryWant+word, asm.DWord),
			asm.JNE.Reg(asm.R1, asm.R2, next),
		)
	}
	ins = append(ins,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMem(asm.R2, asm.R8, at+entryLevel, asm.Word),
		asm.LoadMem(asm.R3, asm.R8, at+entryCode, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R8),
		asm.Add.Imm(asm.R4, int32(at)+entryValue),
		asm.FnSetsockopt.Call(),
		asm.Mov.Reg(asm.R7, asm.R0),
	)
	return append(ins, p.tally(at, next)...)
}

// tally counts the answer in R7, whose socket is not needed any more.
func (p hookProgram) tally(at int16, next string) asm.Instructions {
	failed := next + "-failed"
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R8, at+entryID, asm.Word),
		asm.StoreMem(asm.RFP, stackID, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, p.tallies),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackID),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, next),
		asm.Mov.Imm(asm.R1, 1),
		asm.JNE.Imm(asm.R7, 0, failed),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord), // tallyApplied
		asm.Ja.Label(next),
		asm.StoreMem(asm.R0, tallyAnswer, asm.R7, asm.DWord).WithSymbol(failed),
		asm.Add.Imm(asm.R0, tallyFailed),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
	}
}
