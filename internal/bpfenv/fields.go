package bpfenv

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// A Field is where a member of a kernel structure lies.
type Field struct {
	// Offset is from the start of the structure, in bytes.
	Offset int16
	// Size is in bytes: 1, 2, 4, 8 or, for an IPv6 address, 16.
	Size uint32
}

// Load returns the instruction that loads the member of the structure to which
// src points. It fits members of up to 8 bytes.
func (f Field) Load(dst, src asm.Register) asm.Instruction {
	size := map[uint32]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}[f.Size]
	return asm.LoadMem(dst, src, f.Offset, size)
}

// KernelTypes returns the types of the running kernel. The error matches
// ErrNotSupported when it tells nothing of them.
func KernelTypes() (*btf.Spec, error) {
	spec, err := btf.LoadKernelSpec()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, btf.ErrNotSupported):
		return nil, fmt.Errorf("%w: it tells nothing of its types (needs CONFIG_DEBUG_INFO_BTF): %w", ErrNotSupported, err)
	case err != nil:
		return nil, fmt.Errorf("read the kernel's types: %w", err)
	}
	return spec, nil
}

// FindField follows a path of members down from a structure. Members of nameless
// structures and unions count as those of the one that holds them. The error
// matches ErrNotSupported when there is no such member.
func FindField(spec *btf.Spec, name string, path ...string) (Field, error) {
	var s *btf.Struct
	if err := spec.TypeByName(name, &s); err != nil {
		return Field{}, fmt.Errorf("%w: struct %s: %w", ErrNotSupported, name, err)
	}
	at, typ := uint32(0), btf.Type(s)
	for _, step := range path {
		offset, t, ok := findMember(typ, step)
		if !ok {
			return Field{}, fmt.Errorf("%w: struct %s: %s has no plain member %s", ErrNotSupported, name, typ.TypeName(), step)
		}
		at, typ = at+offset, t
	}
	size, err := btf.Sizeof(typ)
	if err != nil {
		return Field{}, fmt.Errorf("%w: struct %s: member %v: %w", ErrNotSupported, name, path, err)
	}
	switch size {
	case 1, 2, 4, 8, 16:
	default:
		return Field{}, fmt.Errorf("%w: struct %s: member %v has %d bytes", ErrNotSupported, name, path, size)
	}
	if at > math.MaxInt16 {
		return Field{}, fmt.Errorf("%w: struct %s: member %v is %d bytes away", ErrNotSupported, name, path, at)
	}
	return Field{Offset: int16(at), Size: uint32(size)}, nil
}

// findMember finds a member by name, in nameless members too.
func findMember(in btf.Type, name string) (offset uint32, typ btf.Type, ok bool) {
	for _, m := range membersOf(in) {
		if m.BitfieldSize != 0 {
			continue
		}
		if m.Name == name {
			return m.Offset.Bytes(), m.Type, true
		}
		if m.Name != "" {
			continue
		}
		if offset, typ, ok := findMember(m.Type, name); ok {
			return m.Offset.Bytes() + offset, typ, true
		}
	}
	return 0, nil, false
}

func membersOf(t btf.Type) []btf.Member {
	if s, ok := btf.As[*btf.Struct](t); ok {
		return s.Members
	}
	if u, ok := btf.As[*btf.Union](t); ok {
		return u.Members
	}
	return nil
}
