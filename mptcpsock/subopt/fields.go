package subopt

import (
	"sync"

	"github.com/cilium/ebpf/btf"

	"mpproxy/internal/bpfenv"
)

// A fieldID names a member of a socket that tells an option's value.
type fieldID uint8

const (
	fieldTOS fieldID = iota + 1
	fieldMinRTO
	fieldMaxDelayedAck
)

// fields are where members of the kernel's structures lie.
type fields struct {
	family, localPort, remotePort    bpfenv.Field // struct tcp_sock
	local4, remote4, local6, remote6 bpfenv.Field
	tos, minRTO, maxDelayedAck       bpfenv.Field
	cookie                           bpfenv.Field // struct mptcp_sock
}

// known are the fields, once they were found: reading the kernel's types takes
// about 15 ms and 4 MB, and they stay what they are.
var known struct {
	sync.Mutex
	fields *fields
}

// kernelFields looks them up in the types of the running kernel. The error
// matches ErrNotSupported when it has none of them.
func kernelFields() (fields, error) {
	known.Lock()
	defer known.Unlock()
	if known.fields != nil {
		return *known.fields, nil
	}
	types, err := bpfenv.KernelTypes()
	if err != nil {
		return fields{}, err
	}
	f, err := fieldsOf(types)
	if err == nil {
		known.fields = &f
	}
	return f, err
}

func fieldsOf(types *btf.Spec) (fields, error) {
	var f fields
	for _, find := range []struct {
		into *bpfenv.Field
		in   string
		path []string
	}{
		{&f.family, "tcp_sock", common("skc_family")},
		{&f.localPort, "tcp_sock", common("skc_num")},
		{&f.remotePort, "tcp_sock", common("skc_dport")},
		{&f.local4, "tcp_sock", common("skc_rcv_saddr")},
		{&f.remote4, "tcp_sock", common("skc_daddr")},
		{&f.local6, "tcp_sock", common("skc_v6_rcv_saddr")},
		{&f.remote6, "tcp_sock", common("skc_v6_daddr")},
		{&f.tos, "tcp_sock", []string{"inet_conn", "icsk_inet", "tos"}},
		{&f.minRTO, "tcp_sock", []string{"inet_conn", "icsk_rto_min"}},
		{&f.maxDelayedAck, "tcp_sock", []string{"inet_conn", "icsk_delack_max"}},
		{&f.cookie, "mptcp_sock", []string{"sk", "icsk_inet", "sk", "__sk_common", "skc_cookie", "counter"}},
	} {
		field, err := bpfenv.FindField(types, find.in, find.path...)
		if err != nil {
			return fields{}, err
		}
		*find.into = field
	}
	return f, nil
}

// common is the path from struct tcp_sock to a member of its struct sock_common.
func common(member string) []string {
	return []string{"inet_conn", "icsk_inet", "sk", "__sk_common", member}
}
