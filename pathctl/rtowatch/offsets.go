package rtowatch

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf/btf"
)

// A field is where a member of a kernel structure lies, in bytes.
type field struct {
	offset int16
	size   uint32 // 1, 2 or 4
}

// fields are the members that the program reads out of structures that differ
// from kernel to kernel.
type fields struct {
	token       field // struct mptcp_sock
	rto         field // struct tcp_sock, inside inet_conn; in jiffies
	retransmits field
}

// findFields looks them up in the types of the running kernel. The error
// matches ErrNotSupported when it has none of them.
func findFields() (fields, error) {
	spec, err := btf.LoadKernelSpec()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, btf.ErrNotSupported):
		return fields{}, fmt.Errorf("%w: it tells nothing of its types (needs CONFIG_DEBUG_INFO_BTF): %w", ErrNotSupported, err)
	case err != nil:
		return fields{}, fmt.Errorf("read the kernel's types: %w", err)
	}
	return fieldsOf(spec)
}

func fieldsOf(spec *btf.Spec) (f fields, err error) {
	if f.token, err = findField(spec, "mptcp_sock", "token"); err != nil {
		return fields{}, err
	}
	if f.rto, err = findField(spec, "tcp_sock", "inet_conn", "icsk_rto"); err != nil {
		return fields{}, err
	}
	if f.retransmits, err = findField(spec, "tcp_sock", "inet_conn", "icsk_retransmits"); err != nil {
		return fields{}, err
	}
	return f, nil
}

// findField follows a path of members down from a structure.
func findField(spec *btf.Spec, name string, path ...string) (field, error) {
	var s *btf.Struct
	if err := spec.TypeByName(name, &s); err != nil {
		return field{}, fmt.Errorf("%w: struct %s: %w", ErrNotSupported, name, err)
	}
	var at uint32
	for i, member := range path {
		m, ok := memberOf(s, member)
		if !ok || m.BitfieldSize != 0 {
			return field{}, fmt.Errorf("%w: struct %s has no plain member %s", ErrNotSupported, s.Name, member)
		}
		at += m.Offset.Bytes()
		if i < len(path)-1 {
			if s, ok = btf.As[*btf.Struct](m.Type); !ok {
				return field{}, fmt.Errorf("%w: member %s is no structure", ErrNotSupported, member)
			}
			continue
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil || (size != 1 && size != 2 && size != 4) || at > 1<<15-1 {
			return field{}, fmt.Errorf("%w: struct %s: %s has %d bytes at %d: %v", ErrNotSupported, name, member, size, at, err)
		}
		return field{offset: int16(at), size: uint32(size)}, nil
	}
	return field{}, fmt.Errorf("rtowatch: no member of struct %s asked for", name)
}

func memberOf(s *btf.Struct, name string) (btf.Member, bool) {
	for _, m := range s.Members {
		if m.Name == name {
			return m, true
		}
	}
	return btf.Member{}, false
}
