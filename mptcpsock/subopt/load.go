package subopt

import (
	"fmt"

	"github.com/cilium/ebpf"

	"mpproxy/internal/bpfenv"
)

// load loads those objects of subopt.bpf.c that a structure names. cookie is the
// number of the network namespace to look at.
func load(objects any, cookie uint64, options *ebpf.CollectionOptions) error {
	spec, err := loadSubopt()
	if err != nil {
		return err
	}
	if err := spec.Variables[suboptVarNetnsCookie].Set(cookie); err != nil {
		return fmt.Errorf("prepare the eBPF program: %w", err)
	}
	if err := spec.LoadAndAssign(objects, options); err != nil {
		return fmt.Errorf("load the eBPF program: %w", bpfenv.ClassifyLoad(err))
	}
	return nil
}
