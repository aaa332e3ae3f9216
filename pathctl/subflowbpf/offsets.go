package subflowbpf

import (
	"github.com/cilium/ebpf/btf"

	"mpproxy/internal/bpfenv"
)

// fields are the members that the program reads out of structures that differ
// from kernel to kernel.
type fields struct {
	token       bpfenv.Field // struct mptcp_sock
	rto         bpfenv.Field // struct tcp_sock, inside inet_conn; in jiffies
	retransmits bpfenv.Field
	pacing      *pacing // nil: not known
}

// findFields looks them up in the types of the running kernel. The error
// matches ErrNotSupported when it has none of them.
func findFields() (fields, error) {
	spec, err := bpfenv.KernelTypes()
	if err != nil {
		return fields{}, err
	}
	return fieldsOf(spec)
}

func fieldsOf(spec *btf.Spec) (f fields, err error) {
	if f.token, err = bpfenv.FindField(spec, "mptcp_sock", "token"); err != nil {
		return fields{}, err
	}
	if f.rto, err = bpfenv.FindField(spec, "tcp_sock", "inet_conn", "icsk_rto"); err != nil {
		return fields{}, err
	}
	if f.retransmits, err = bpfenv.FindField(spec, "tcp_sock", "inet_conn", "icsk_retransmits"); err != nil {
		return fields{}, err
	}
	f.pacing = pacingOf(spec)
	return f, nil
}
