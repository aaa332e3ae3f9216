package bpfenv

import (
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// needBPF skips where eBPF is not permitted.
func needBPF(t testing.TB) {
	t.Helper()
	missing := MissingCapabilities()
	if len(missing) > 0 || os.Getenv("MPPROXY_NETNS_ENTERED") != "" {
		t.Skipf("needs eBPF, outside of a user namespace; missing: %v", missing)
	}
}

// TestTickLength holds the length of a jiffy against the kernel's own counter of
// them, read together with its clock.
func TestTickLength(t *testing.T) {
	needBPF(t)
	tick, err := TickLength()
	if err != nil {
		t.Fatal(err)
	}
	read := jiffiesReader(t)
	j0, t0 := read()
	for {
		j, ns := read()
		if j-j0 < 50 {
			continue
		}
		want := time.Duration(ns-t0) / time.Duration(j-j0)
		t.Logf("a tick is %v, measured %v", tick, want)
		if (want - tick).Abs() > tick/10 { // the counter steps: 1 in 50, at each end
			t.Errorf("a tick is %v, but %d of them took %v", tick, j-j0, time.Duration(ns-t0))
		}
		return
	}
}

// jiffiesReader returns a function that reads jiffies and CLOCK_MONOTONIC at the
// same moment, in the kernel.
func jiffiesReader(t *testing.T) func() (jiffies, ns uint64) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Dual MIT/GPL", Instructions: asm.Instructions{
		asm.LoadMapValue(asm.R6, m.FD(), 0),
		asm.FnJiffies64.Call(),
		asm.StoreMem(asm.R6, 0, asm.R0, asm.DWord),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return func() (uint64, uint64) {
		if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
			t.Fatal(err)
		}
		var v [2]uint64
		if err := m.Lookup(uint32(0), &v); err != nil {
			t.Fatal(err)
		}
		return v[0], v[1]
	}
}
