package subopt

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"mpproxy/internal/bpfenv"
)

// TestKernelWithoutMembers wants a kernel that lacks what the programs read to be
// told apart.
func TestKernelWithoutMembers(t *testing.T) {
	if missing := bpfenv.MissingCapabilities(); len(missing) > 0 || os.Getenv("MPPROXY_NETNS_ENTERED") != "" {
		t.Skipf("needs eBPF, outside of a user namespace; missing: %v", missing)
	}
	builder, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "tcp_sock", Size: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := builder.Spec()
	if err != nil {
		t.Fatal(err)
	}
	options := &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: types}}
	for name, objects := range map[string]any{"walk": &walkerObjects{}, "rules": &hookObjects{}} {
		if err := load(objects, 0, options); !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrNotSupported", name, err)
		}
	}
}
