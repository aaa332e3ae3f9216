package uapi

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// TestLayoutsMatchKernel holds each field that we decode against the type
// information of the running kernel.
func TestLayoutsMatchKernel(t *testing.T) {
	spec := kernelBTF(t)
	for _, s := range []struct {
		name string
		raw  reflect.Type
		size int // of the kernel's structure, where it cannot grow
	}{
		{name: "mptcp_info", raw: reflect.TypeFor[rawInfo]()},
		{name: "tcp_info", raw: reflect.TypeFor[rawTCPInfo]()},
		{name: "mptcp_subflow_data", raw: reflect.TypeFor[rawSubflowData](), size: SubflowDataSize},
		{name: "mptcp_subflow_info", raw: reflect.TypeFor[rawSubflowInfo](), size: SubflowInfoSize},
		{name: "mptcp_full_info", raw: reflect.TypeFor[rawFullInfo]()},
	} {
		t.Run(s.name, func(t *testing.T) {
			kernel := kernelStruct(t, spec, s.name)
			if kernel == nil {
				return
			}
			for field := range s.raw.Fields() {
				checkField(t, kernel, field)
			}
			if s.size != 0 && int(kernel.Size) != s.size {
				t.Errorf("the kernel's structure has %d bytes, ours %d", kernel.Size, s.size)
			}
		})
	}
}

// TestBitFieldsMatchKernel checks what no Go field can stand for: a bit, and
// where the grown part of mptcp_full_info begins.
func TestBitFieldsMatchKernel(t *testing.T) {
	spec := kernelBTF(t)
	if m := member(kernelStruct(t, spec, "tcp_info"), "tcpi_delivery_rate_app_limited"); m == nil {
		t.Error("no tcpi_delivery_rate_app_limited")
	} else {
		raw, _ := reflect.TypeFor[rawTCPInfo]().FieldByName("Bits")
		want := btf.Bits(raw.Offset * 8)
		if appLimitedBit != 1 {
			want += 7
		}
		if m.Offset != want || m.BitfieldSize != 1 {
			t.Errorf("tcpi_delivery_rate_app_limited is %d bits at bit %d, want 1 at %d", m.BitfieldSize, m.Offset, want)
		}
	}
	full := kernelStruct(t, spec, "mptcp_full_info")
	if full == nil {
		return
	}
	if m := member(full, "mptcp_info"); m == nil || int(m.Offset.Bytes()) != fullInfoHeader {
		t.Errorf("mptcp_info in mptcp_full_info is %v, want offset %d", m, fullInfoHeader)
	}
}

// TestSockaddrsMatchKernel checks mptcp_subflow_addrs, whose members are
// unnamed unions of socket addresses.
func TestSockaddrsMatchKernel(t *testing.T) {
	spec := kernelBTF(t)
	addrs := kernelStruct(t, spec, "mptcp_subflow_addrs")
	if int(addrs.Size) != SubflowAddrsSize || len(addrs.Members) != 2 {
		t.Fatalf("struct mptcp_subflow_addrs has %d bytes and %d members, want %d and 2", addrs.Size, len(addrs.Members), SubflowAddrsSize)
	}
	remote, _ := reflect.TypeFor[rawSubflowAddrs]().FieldByName("Remote")
	if got := addrs.Members[1].Offset.Bytes(); uintptr(got) != remote.Offset {
		t.Errorf("the remote address is at offset %d, ours at %d", got, remote.Offset)
	}
	sockaddr := reflect.TypeFor[rawSockaddr]()
	for _, f := range []struct{ kernelStruct, kernelField, ours string }{
		{"sockaddr_in", "sin_family", "Family"},
		{"sockaddr_in", "sin_port", "Port"},
		{"sockaddr_in", "sin_addr", "Addr4"},
		{"sockaddr_in6", "sin6_family", "Family"},
		{"sockaddr_in6", "sin6_port", "Port"},
		{"sockaddr_in6", "sin6_addr", "Addr6"},
	} {
		m := member(kernelStruct(t, spec, f.kernelStruct), f.kernelField)
		ours, _ := sockaddr.FieldByName(f.ours)
		if m == nil || uintptr(m.Offset.Bytes()) != ours.Offset {
			t.Errorf("%s is %v, ours is at offset %d", f.kernelField, m, ours.Offset)
		}
	}
}

// checkField compares one of our fields with the kernel's of the same name.
func checkField(t *testing.T, kernel *btf.Struct, f reflect.StructField) {
	t.Helper()
	name := f.Tag.Get("btf")
	if name == "" {
		return
	}
	m := member(kernel, name)
	if m == nil {
		if since := f.Tag.Get("since"); since != "" && !kernelHas(t, since) {
			return
		}
		t.Errorf("the kernel's structure has no field %s", name)
		return
	}
	size, err := btf.Sizeof(m.Type)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if uintptr(m.Offset.Bytes()) != f.Offset || uintptr(size) != f.Type.Size() {
		t.Errorf("%s: the kernel has %d bytes at offset %d, we have %d at %d",
			name, size, m.Offset.Bytes(), f.Type.Size(), f.Offset)
	}
}

// kernelBTF loads the types of the running kernel, or skips where it has none.
func kernelBTF(t *testing.T) *btf.Spec {
	t.Helper()
	if _, err := os.Stat("/proc/sys/net/mptcp"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the kernel has no MPTCP, so no types of it")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the kernel has no BTF to compare with (CONFIG_DEBUG_INFO_BTF)")
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// kernelStruct finds a structure. Only a kernel that is older than
// MPTCP_FULL_INFO may lack one.
func kernelStruct(t *testing.T, spec *btf.Spec, name string) *btf.Struct {
	t.Helper()
	var s *btf.Struct
	err := spec.TypeByName(name, &s)
	if errors.Is(err, btf.ErrNotFound) && !kernelHas(t, "6.5") &&
		(name == "mptcp_full_info" || name == "mptcp_subflow_info") {
		t.Skipf("this kernel is older than struct %s", name)
	}
	if err != nil {
		t.Fatalf("struct %s: %v", name, err)
	}
	return s
}

func member(s *btf.Struct, name string) *btf.Member {
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}

// kernelHas reports whether the running kernel is of a release or later.
func kernelHas(t *testing.T, release string) bool {
	t.Helper()
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var running strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		running.WriteByte(byte(c))
	}
	have, want := majorMinor(t, running.String()), majorMinor(t, release)
	return have[0] > want[0] || have[0] == want[0] && have[1] >= want[1]
}

func majorMinor(t *testing.T, release string) (v [2]int) {
	t.Helper()
	parts := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		t.Fatalf("kernel release %q", release)
	}
	for i := range v {
		var err error
		if v[i], err = strconv.Atoi(parts[i]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}
