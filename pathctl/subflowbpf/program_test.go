package subflowbpf

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"mpproxy/internal/bpfenv"
)

// needBPF skips where eBPF is not permitted.
func needBPF(t testing.TB) {
	t.Helper()
	missing := bpfenv.MissingCapabilities()
	if len(missing) > 0 || os.Getenv("MPPROXY_NETNS_ENTERED") != "" {
		t.Skipf("needs eBPF, outside of a user namespace; missing: %v", missing)
	}
}

// TestVerifierAcceptsProgram loads each variant of the program.
func TestVerifierAcceptsProgram(t *testing.T) {
	needBPF(t)
	for _, tt := range []struct {
		name     string
		config   Config
		filtered bool
	}{
		{"own cgroup", Config{}, false},
		{"with round-trip times", Config{RTT: true}, false},
		{"filtered", Config{RTT: true}, true},
		{"short backlog", Config{TimeoutsOnly: true, Backlog: true}, false},
		{"all, filtered", Config{RTT: true, Backlog: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := loadSensor(tt.config, tt.filtered, nil)
			if err != nil {
				t.Fatalf("%+v", err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKernelWithoutMPTCP wants a kernel that lacks a structure which the program
// reads to be told apart.
func TestKernelWithoutMPTCP(t *testing.T) {
	needBPF(t)
	builder, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "mptcp_sock", Size: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := builder.Spec()
	if err != nil {
		t.Fatal(err)
	}
	options := &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: types}}
	var s bpfSensor
	err = errors.Join(s.load(Config{}, options), s.close())
	if !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
}

// BenchmarkLoad measures loading the program; the first one reads the kernel's
// types.
func BenchmarkLoad(b *testing.B) {
	needBPF(b)
	b.ReportAllocs()
	for b.Loop() {
		s, err := loadSensor(Config{TimeoutsOnly: true, Backlog: true}, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.close(); err != nil {
			b.Fatal(err)
		}
	}
}
