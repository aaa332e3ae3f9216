package subflowbpf

import (
	"errors"
	"io/fs"
	"os"
	"testing"

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

func kernelTypes(t testing.TB) *btf.Spec {
	t.Helper()
	spec, err := btf.LoadKernelSpec()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, btf.ErrNotSupported) {
		t.Skip("the kernel has no BTF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestContextMatchesKernel holds the offsets into the context and the numbers of
// operations and flags against the running kernel.
func TestContextMatchesKernel(t *testing.T) {
	spec := kernelTypes(t)
	for name, want := range map[string]int16{
		"op": ctxOp, "family": ctxFamily, "remote_ip4": ctxRemote4, "local_ip4": ctxLocal4,
		"remote_ip6": ctxRemote6, "local_ip6": ctxLocal6, "remote_port": ctxRemotePort, "local_port": ctxLocalPort,
		"is_fullsock": ctxIsFullsock, "snd_cwnd": ctxCwnd, "srtt_us": ctxSRTT, "bpf_sock_ops_cb_flags": ctxCbFlags,
		"state": ctxState, "mss_cache": ctxMSS, "packets_out": ctxPacketsOut, "retrans_out": ctxRetransOut,
		"total_retrans": ctxTotalRetrans, "lost_out": ctxLostOut,
		"rate_delivered": ctxDelivered, "rate_interval_us": ctxInterval,
	} {
		if f, err := bpfenv.FindField(spec, "bpf_sock_ops", name); err != nil || f.Offset != want {
			t.Errorf("%s is at %v (%v), want %d", name, f.Offset, err, want)
		}
	}
	values := make(map[string]uint64)
	for _, e := range enums(t, spec, "BPF_SOCK_OPS_RTO_CB", "BPF_SOCK_OPS_RTO_CB_FLAG") {
		for _, v := range e.Values {
			values[v.Name] = v.Value
		}
	}
	for name, want := range map[string]uint64{
		"BPF_SOCK_OPS_TCP_CONNECT_CB": opConnect, "BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB": opActiveEstablished,
		"BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB": opPassiveEstablished, "BPF_SOCK_OPS_RTO_CB": opRTO,
		"BPF_SOCK_OPS_RETRANS_CB": opRetrans, "BPF_SOCK_OPS_STATE_CB": opState, "BPF_SOCK_OPS_RTT_CB": opRTT,
		"BPF_SOCK_OPS_RTO_CB_FLAG": flagRTO, "BPF_SOCK_OPS_RETRANS_CB_FLAG": flagRetrans,
		"BPF_SOCK_OPS_STATE_CB_FLAG": flagState, "BPF_SOCK_OPS_RTT_CB_FLAG": flagRTT,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %d (found: %v), want %d", name, got, ok, want)
		}
	}
}

// enums returns the nameless enumerations that have one of these values.
func enums(t *testing.T, spec *btf.Spec, with ...string) []*btf.Enum {
	t.Helper()
	var found []*btf.Enum
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		e, ok := typ.(*btf.Enum)
		if !ok {
			continue
		}
		for _, v := range e.Values {
			for _, name := range with {
				if v.Name == name {
					found = append(found, e)
				}
			}
		}
	}
	return found
}

// TestFieldsNotFound wants a kernel without MPTCP to be told apart.
func TestFieldsNotFound(t *testing.T) {
	builder, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "mptcp_sock", Size: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := builder.Spec()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fieldsOf(spec); !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
}

func BenchmarkFindFields(b *testing.B) {
	kernelTypes(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := findFields(); err != nil {
			b.Fatal(err)
		}
	}
}
