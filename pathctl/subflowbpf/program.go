package subflowbpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Offsets into struct bpf_sock_ops (include/uapi/linux/bpf.h), which the
// verifier translates. A test holds them against the running kernel's types.
const (
	ctxOp           = 0
	ctxArg0         = 4
	ctxArg1         = 8
	ctxFamily       = 20
	ctxRemote4      = 24
	ctxLocal4       = 28
	ctxRemote6      = 32
	ctxLocal6       = 48
	ctxRemotePort   = 64
	ctxLocalPort    = 68
	ctxIsFullsock   = 72
	ctxCwnd         = 76
	ctxSRTT         = 80
	ctxCbFlags      = 84
	ctxState        = 88
	ctxMSS          = 112
	ctxDelivered    = 120
	ctxInterval     = 124
	ctxPacketsOut   = 128
	ctxRetransOut   = 132
	ctxTotalRetrans = 136
	ctxLostOut      = 156
	ctxSk           = 184
)

// Flags that make the kernel call the program, BPF_SOCK_OPS_…_CB_FLAG.
const (
	flagRTO     = 1
	flagRetrans = 2
	flagState   = 4
	flagRTT     = 8
)

// copied lists which words of the context go into the record unchanged.
var copied = []struct{ from, to int16 }{
	{ctxOp, recOp},
	{ctxFamily, recFamily},
	{ctxState, recState},
	{ctxArg0, recArg0},
	{ctxArg1, recArg1},
	{ctxSRTT, recSRTT},
	{ctxCwnd, recCwnd},
	{ctxPacketsOut, recPacketsOut},
	{ctxRetransOut, recRetransOut},
	{ctxTotalRetrans, recTotal},
	{ctxLostOut, recLostOut},
	{ctxLocal4, recLocal4},
	{ctxRemote4, recRemote4},
	{ctxLocal6, recLocal6},
	{ctxLocal6 + 4, recLocal6 + 4},
	{ctxLocal6 + 8, recLocal6 + 8},
	{ctxLocal6 + 12, recLocal6 + 12},
	{ctxRemote6, recRemote6},
	{ctxRemote6 + 4, recRemote6 + 4},
	{ctxRemote6 + 8, recRemote6 + 8},
	{ctxRemote6 + 12, recRemote6 + 12},
	{ctxLocalPort, recLocalPort},
	{ctxRemotePort, recRemotePort},
}

// program is what the eBPF program is made from.
type program struct {
	fields
	ring, lost int // descriptors of the maps
	rtt        bool
	states     bool
	backlog    bool // limitBacklog
	limits     int  // descriptor of the map of Limits
	rates      int  // and of that of firstWindow
	// filter, when set, leaves out what is not of the namespace or not in
	// the map of tokens.
	filter *filter
}

// filter is what the program looks at on a cgroup that others share.
type filter struct {
	netnsCookie uint64
	tokens      int // descriptor of the map
}

// spec returns the program in the form in which the kernel takes it. The
// licence is asked for by bpf_ktime_get_ns and by reads of kernel structures.
func (p program) spec() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: "mpproxy_subflow", Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps,
		License: "Dual MIT/GPL", Instructions: p.instructions(),
	}
}

// instructions returns the program. Registers that survive calls: R6 is the
// context, R7 the token, R8 the record, R9 the socket.
//
// It returns 1 in all cases: 0 would make the kernel ignore the answers of other
// programs on the cgroup. It never writes ctx.reply, for the same reason.
func (p program) instructions() asm.Instructions {
	var ins asm.Instructions
	ins = append(ins, p.selectOperation()...)
	ins = append(ins, p.selectSocket()...)
	ins = append(ins, p.subscribe()...)
	ins = append(ins, p.report()...)
	return append(ins,
		asm.Mov.Imm(asm.R0, 1).WithSymbol("exit"),
		asm.Return(),
	)
}

// selectOperation leaves what is no business of ours, cheapest test first.
func (p program) selectOperation() asm.Instructions {
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, ctxOp, asm.Word),
	}
	ops := []int32{opConnect, opActiveEstablished, opPassiveEstablished, opRTO, opRetrans}
	if p.states {
		ops = append(ops, opState)
	}
	if p.rtt || p.backlog {
		ops = append(ops, opRTT)
	}
	for _, op := range ops {
		ins = append(ins, asm.JEq.Imm(asm.R2, op, "socket"))
	}
	return append(ins, asm.Ja.Label("exit"))
}

// selectSocket leaves sockets that are no subflows, and loads token and socket.
func (p program) selectSocket() asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, ctxIsFullsock, asm.Word).WithSymbol("socket"),
		asm.JEq.Imm(asm.R2, 0, "exit"),
		asm.LoadMem(asm.R9, asm.R6, ctxSk, asm.DWord),
		asm.JEq.Imm(asm.R9, 0, "exit"),
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.FnSkcToMptcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		p.token.Load(asm.R7, asm.R0),
	}
	if p.filter == nil {
		return ins
	}
	return append(ins,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnGetNetnsCookie.Call(),
		asm.LoadImm(asm.R1, int64(p.filter.netnsCookie), asm.DWord),
		asm.JNE.Reg(asm.R0, asm.R1, "exit"),
	)
}

// subscribe asks for the callbacks at the start of a subflow, beside those that
// another program on the socket has asked for.
func (p program) subscribe() asm.Instructions {
	want := int32(flagRTO | flagRetrans)
	if p.states {
		want |= flagState
	}
	if p.rtt || p.backlog {
		want |= flagRTT
	}
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, ctxOp, asm.Word),
		asm.JGT.Imm(asm.R2, opPassiveEstablished, "report"),
		asm.LoadMem(asm.R2, asm.R6, ctxCbFlags, asm.Word),
		asm.Or.Imm(asm.R2, want),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnSockOpsCbFlagsSet.Call(),
	}
	ins = append(ins, p.begin()...)
	return append(ins, asm.Ja.Label("exit"))
}

// report puts a record into the ring, or counts it as lost.
func (p program) report() asm.Instructions {
	ins := p.selectToken()
	ins = append(ins, p.truePace()...)
	if p.backlog {
		ins = append(ins, p.limitBacklog()...)
	}
	ins = append(ins,
		asm.LoadMapPtr(asm.R1, p.ring),
		asm.Mov.Imm(asm.R2, recordSize),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JNE.Imm(asm.R0, 0, "fill"),
		asm.LoadMapValue(asm.R1, p.lost, 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Ja.Label("exit"),

		asm.Mov.Reg(asm.R8, asm.R0).WithSymbol("fill"),
		asm.StoreMem(asm.R8, recToken, asm.R7, asm.Word),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R8, recTime, asm.R0, asm.DWord),
	)
	for _, c := range copied {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R6, c.from, asm.Word),
			asm.StoreMem(asm.R8, c.to, asm.R1, asm.Word),
		)
	}
	ins = append(ins, p.fillTimer()...)
	return append(ins,
		asm.Mov.Reg(asm.R1, asm.R8).WithSymbol("submit"),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRingbufSubmit.Call(),
	)
}

// selectToken is where "report" begins: connections that are not ours leave.
func (p program) selectToken() asm.Instructions {
	if p.filter == nil {
		return asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("report")}
	}
	ins := asm.Instructions{asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word).WithSymbol("report")}
	ins = append(ins, lookup(p.filter.tokens)...)
	return append(ins, asm.JEq.Imm(asm.R0, 0, "exit"))
}

// findLimits leaves in R0 where the limits of the connection are, 0 for none.
func (p program) findLimits() asm.Instructions {
	return append(asm.Instructions{asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word)}, lookup(p.limits)...)
}

// lookup leaves in R0 where a map has the value of the key at -4 on the stack, 0 for
// nowhere.
func lookup(fd int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, fd),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
	}
}

// setOption sets an option of the subflow to the word at -4 on the stack.
func setOption(level, option int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, level),
		asm.Mov.Imm(asm.R3, option),
		asm.Mov.Reg(asm.R4, asm.RFP),
		asm.Add.Imm(asm.R4, -4),
		asm.Mov.Imm(asm.R5, 4),
		asm.FnSetsockopt.Call(),
	}
}

// fillTimer adds what the context does not have and struct tcp_sock has.
func (p program) fillTimer() asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.R8, recRTO, 0, asm.Word),
		asm.StoreImm(asm.R8, recRetransmits, 0, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R9),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "submit"),
		p.rto.Load(asm.R1, asm.R0),
		asm.StoreMem(asm.R8, recRTO, asm.R1, asm.Word),
		p.retransmits.Load(asm.R1, asm.R0),
		asm.StoreMem(asm.R8, recRetransmits, asm.R1, asm.Word),
	}
}

// The maps: a ring of bytes, one counter, and the tokens that are ours.

func ringSpec(bytes uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "mpproxy_ring", Type: ebpf.RingBuf, MaxEntries: bytes}
}

func lostSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "mpproxy_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}
}

func tokensSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: "mpproxy_tokens", Type: ebpf.Hash, KeySize: 4, ValueSize: 1,
		MaxEntries: maxTokens, Flags: unix.BPF_F_NO_PREALLOC,
	}
}

// maxTokens bounds the connections that can be watched on a shared cgroup.
const maxTokens = 1 << 16
