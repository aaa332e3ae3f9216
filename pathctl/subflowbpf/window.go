package subflowbpf

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A subflow begins with the ten segments of RFC 6928, whatever its path: one that is
// 100 ms away needs four round trips more than its rate would ask for, and a transfer
// of a few seconds never makes up for them (docs/lab.md, simult). So it begins with
// what its path carries in the round trip of the handshake: at the rate that
// SetFirstRate has told, and windowRate where nobody knows one. A slower path gets a
// queue of that one window, which bbr spreads over a third of a round trip. Where a
// connection has several subflows on a path, what it carries is not there for each, and
// their first windows together overflowed it: they begin with ten segments, and hold little.
const (
	windowRate  = 500_000 // bytes a second: 34 segments in 100 ms
	windowLeast = 10      // segments, RFC 6928
	windowMost  = 48
)

// modestUnsent is what one of several subflows on a path may hold unsent until its first
// round trip with data is known, in bytes. The scheduler takes it for as fast as its first
// window; what it holds when it turns out to starve keeps the others waiting, seconds for
// the whole of its buffer.
const modestUnsent = 16 << 10

// setFirstWindow is TCP_BPF_IW of include/uapi/linux/bpf.h: the congestion window of a
// connection that has sent nothing yet.
const setFirstWindow = 1001

// SetFirstRate says what a path carries, in bytes a second: subflows that begin on it
// from now on have a window for that. The path is known by its address: the local one
// of subflows that this end asks for, the remote one of those that it is asked for.
// With polling nothing happens, as on a cgroup that others share.
func (w *Watcher) SetFirstRate(path netip.Addr, rate uint64) error {
	return w.use(func() error { return w.sensor.firstRate(path, rate) })
}

func (s *bpfSensor) firstRate(path netip.Addr, rate uint64) error {
	if s.rates == nil {
		return nil
	}
	if err := s.rates.Put(pathKey(path), uint32(min(rate, math.MaxInt32))); err != nil {
		return fmt.Errorf("subflowbpf: note the rate of %v: %w", path, err)
	}
	return nil
}

// pathKey is what the program makes of an address. Two IPv6 addresses may have the same
// one: a window is not worth more.
func pathKey(a netip.Addr) uint32 {
	b := a.As16()
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return word(0) ^ word(1) ^ word(3) // the third one is what makes IPv4 mapped
}

// holdLittle bounds what one of several subflows on a path holds, and leaves in R8 whether
// this is one.
func (p program) holdLittle() asm.Instructions {
	ins := append(asm.Instructions{asm.Mov.Imm(asm.R8, 0)}, p.findLimits()...)
	ins = append(ins,
		asm.JEq.Imm(asm.R0, 0, "bounded"),
		asm.LoadMem(asm.R8, asm.R0, limitsModest, asm.Word),
		asm.JEq.Imm(asm.R8, 0, "bounded"),
		asm.StoreImm(asm.RFP, -4, modestUnsent, asm.Word),
	)
	ins = append(ins, setOption(unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT)...)
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol("bounded"))
}

// firstWindow widens the window of a subflow that begins, unless it is to hold little; one
// whose SYN was repeated keeps the single segment that the kernel gives it.
func (p program) firstWindow() asm.Instructions {
	ins := asm.Instructions{
		asm.JNE.Imm(asm.R8, 0, "exit"), // holdLittle
		asm.LoadMem(asm.R1, asm.R6, ctxCwnd, asm.Word),
		asm.JLT.Imm(asm.R1, windowLeast, "exit"),
		asm.LoadMem(asm.R8, asm.R6, ctxMSS, asm.Word),
		asm.JEq.Imm(asm.R8, 0, "exit"),
		asm.LoadMem(asm.R1, asm.R6, ctxOp, asm.Word),
		asm.JEq.Imm(asm.R1, opPassiveEstablished, "asked for"),
	}
	ins = append(ins, keyOf(ctxLocal4, ctxLocal6)...)
	ins = append(ins, asm.Ja.Label("path"), asm.Mov.Imm(asm.R0, 0).WithSymbol("asked for"))
	ins = append(ins, keyOf(ctxRemote4, ctxRemote6)...)
	ins = append(ins, asm.StoreMem(asm.RFP, -4, asm.R2, asm.Word).WithSymbol("path"))
	ins = append(ins, lookup(p.rates)...)
	ins = append(ins,
		asm.Mov.Imm(asm.R2, windowRate),
		asm.JEq.Imm(asm.R0, 0, "rate"),
		asm.LoadMem(asm.R2, asm.R0, 0, asm.Word),
		asm.LoadMem(asm.R1, asm.R6, ctxSRTT, asm.Word).WithSymbol("rate"), // eighths of microseconds
		asm.Mul.Reg(asm.R1, asm.R2),
		asm.Div.Imm(asm.R1, 8e6),
		asm.Div.Reg(asm.R1, asm.R8),
		asm.JLE.Imm(asm.R1, windowLeast, "exit"),
		asm.JLE.Imm(asm.R1, windowMost, "window"),
		asm.Mov.Imm(asm.R1, windowMost),
		asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word).WithSymbol("window"),
	)
	return append(ins, setOption(unix.SOL_TCP, setFirstWindow)...)
}

// keyOf puts the pathKey of an address of the context into R2.
func keyOf(v4, v6 int16) asm.Instructions {
	mapped := fmt.Sprint("not IPv4 at ", v4)
	done := fmt.Sprint("key at ", v4)
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, ctxFamily, asm.Word),
		asm.JNE.Imm(asm.R1, unix.AF_INET, mapped),
		asm.LoadMem(asm.R2, asm.R6, v4, asm.Word),
		asm.Ja.Label(done),
		asm.LoadMem(asm.R2, asm.R6, v6, asm.Word).WithSymbol(mapped),
		asm.LoadMem(asm.R3, asm.R6, v6+4, asm.Word),
		asm.Xor.Reg(asm.R2, asm.R3),
		asm.LoadMem(asm.R3, asm.R6, v6+12, asm.Word),
		asm.Xor.Reg(asm.R2, asm.R3),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(done),
	}
}

// ratesMost bounds the paths whose rates are kept; those not used for longest go.
const ratesMost = 4096

func ratesSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "mpproxy_rates", Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: ratesMost}
}
