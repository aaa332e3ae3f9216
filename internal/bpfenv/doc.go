// Package bpfenv is what the packages that load eBPF programs need to know of the
// machine they run on: the types of its kernel, which capabilities are missing, which
// cgroup the process is in, how long a tick is, and the number of a network namespace.
//
//	options, err := bpfenv.LoadOptions()
//	err = spec.LoadAndAssign(&objects, options)
//	if err != nil { return bpfenv.ExplainDenial(bpfenv.ClassifyLoad(err)) }
//
// Its folder include holds what the programs in C share: the members of kernel
// structures that they read. `make bpf` compiles the programs; tests here say when
// the committed objects are older than their sources.
//
// It loads no program, attaches none and changes nothing.
package bpfenv
