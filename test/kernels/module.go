package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os/exec"
	"strings"
)

// wanted are the modules that the tests need; what these depend on comes with them.
var wanted = []string{
	"veth", "tun", "sch_netem", "inet_diag", "tcp_diag", "mptcp_diag", "unix_diag", "xfrm_user", "nfnetlink", "tcp_bbr",
}

// A module is a part of the kernel that is loaded.
type module struct {
	name  string
	file  []byte // as the kernel takes it: ELF
	needs []string
}

// moduleName is the name of the module that a file holds, empty if it is none. The
// kernel writes _ where the names of files have -.
func moduleName(base string) string {
	base = strings.TrimSuffix(base, ".xz")
	name, ok := strings.CutSuffix(base, ".ko")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(name, "-", "_")
}

// inOrder returns modules and all that they depend on, each behind what it needs.
func inOrder(names []string, find func(name string) (module, error), builtin map[string]bool) ([]module, error) {
	var all []module
	done := map[string]bool{}
	var add func(names []string) error
	add = func(names []string) error {
		for _, name := range names {
			if builtin[name] || done[name] {
				continue
			}
			done[name] = true
			m, err := find(name)
			if err != nil {
				return err
			}
			if err := add(m.needs); err != nil {
				return fmt.Errorf("for %s: %w", name, err)
			}
			all = append(all, m)
		}
		return nil
	}
	return all, add(names)
}

// decompress returns the ELF file that Debian compresses with xz, as dpkg does its
// packages.
func decompress(file []byte) ([]byte, error) {
	if bytes.HasPrefix(file, []byte(elf.ELFMAG)) {
		return file, nil
	}
	xz := exec.Command("xz", "--decompress", "--stdout")
	xz.Stdin = bytes.NewReader(file)
	out, err := xz.Output()
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	return out, nil
}

// needsOf reads what a module depends on from the section in which the kernel's
// build writes it as depends=a,b.
func needsOf(file []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
