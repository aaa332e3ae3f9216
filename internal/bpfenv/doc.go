// Package bpfenv is what the packages that load eBPF programs need to know of
// the machine they run on: where members of kernel structures lie, which
// capabilities are missing, which cgroup the process is in, how long a tick is,
// and the number of a network namespace.
//
//	types, err := bpfenv.KernelTypes()
//	token, err := bpfenv.FindField(types, "mptcp_sock", "token")
//	program = append(program, token.Load(asm.R7, asm.R0))
//	…
//	if err != nil { return bpfenv.ExplainDenial(bpfenv.ClassifyLoad(err)) }
//
// It loads no program, attaches none and changes nothing.
package bpfenv
