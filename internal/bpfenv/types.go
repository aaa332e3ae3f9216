package bpfenv

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// LoadOptions returns the options to load programs with: for the types of the running
// kernel, without those of its modules, which our programs do not use. Reading the
// types takes about 20 ms and 4 MB; they are kept as long as the options are. The
// error matches ErrNotSupported when the kernel tells nothing of its types.
func LoadOptions() (*ebpf.CollectionOptions, error) {
	cache := btf.NewCache()
	types, err := cache.Kernel()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, btf.ErrNotSupported):
		return nil, fmt.Errorf("%w: it tells nothing of its types (needs CONFIG_DEBUG_INFO_BTF): %w", ErrNotSupported, err)
	case err != nil:
		return nil, fmt.Errorf("read the kernel's types: %w", err)
	}
	return &ebpf.CollectionOptions{Cache: cache, Programs: ebpf.ProgramOptions{KernelTypes: types}}, nil
}
