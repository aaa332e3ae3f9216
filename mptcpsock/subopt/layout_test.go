package subopt

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/cilium/ebpf/btf"

	"mpproxy/internal/bpfenv"
)

func kernelTypes(t *testing.T) *btf.Spec {
	t.Helper()
	types, err := bpfenv.KernelTypes()
	if errors.Is(err, bpfenv.ErrNotSupported) || errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// TestContextsMatchKernel holds what the programs read of their contexts against
// the running kernel's types.
func TestContextsMatchKernel(t *testing.T) {
	types := kernelTypes(t)
	for _, tt := range []struct {
		structure, member string
		want              int16
	}{
		{"bpf_sock_ops", "op", ctxOp},
		{"bpf_sock_ops", "is_fullsock", ctxIsFullsock},
		{"bpf_sock_ops", "sk", ctxSk},
		{"bpf_iter__tcp", "meta", iterMeta},
		{"bpf_iter__tcp", "sk_common", iterSock},
		{"bpf_iter_meta", "seq", metaSeq},
	} {
		if f, err := bpfenv.FindField(types, tt.structure, tt.member); err != nil || f.Offset != tt.want {
			t.Errorf("%s.%s is at %d (%v), want %d", tt.structure, tt.member, f.Offset, err, tt.want)
		}
	}
	want := map[string]uint64{
		"BPF_SOCK_OPS_TCP_CONNECT_CB": opConnect, "BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB": opPassiveEstablished,
		"TCP_BPF_DELACK_MAX": tcpBPFDelackMax, "TCP_BPF_RTO_MIN": tcpBPFRTOMin,
	}
	for typ, err := range types.All() {
		if err != nil {
			t.Fatal(err)
		}
		enum, _ := typ.(*btf.Enum)
		if enum == nil {
			continue
		}
		for _, v := range enum.Values {
			if n, ok := want[v.Name]; ok && n == v.Value {
				delete(want, v.Name)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("the kernel has other values than %v", want)
	}
}

// TestFieldsNotFound wants a kernel without MPTCP to be told apart.
func TestFieldsNotFound(t *testing.T) {
	builder, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "tcp_sock", Size: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := builder.Spec()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fieldsOf(types); !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
}
