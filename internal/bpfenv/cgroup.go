package bpfenv

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CgroupProcs is the file of a cgroup that names its processes.
const CgroupProcs = "cgroup.procs"

// ownPrefix begins the name of a cgroup that a process made for itself.
const ownPrefix = "mpproxy-"

// OwnCgroupName is the name of the cgroup that a process makes for itself inside
// the one in which it was.
func OwnCgroupName(pid int) string { return ownPrefix + strconv.Itoa(pid) }

// CgroupOwner returns the process that made a cgroup of this name for itself.
func CgroupOwner(name string) (pid int, ok bool) {
	number, ok := strings.CutPrefix(name, ownPrefix)
	if !ok {
		return 0, false
	}
	pid, err := strconv.Atoi(number)
	return pid, err == nil && pid > 0
}

// HomeCgroup returns the directory of the cgroup v2 in which the process is, or
// was before it made one for itself: a program attached there stays when the
// process moves back.
func HomeCgroup() (string, error) {
	dir, err := CurrentCgroup()
	if err == nil && filepath.Base(dir) == OwnCgroupName(os.Getpid()) {
		dir = filepath.Dir(dir)
	}
	return dir, err
}

// CurrentCgroup returns the directory of the cgroup v2 in which the process is.
// The error matches ErrNoCgroup2 when there is none to be seen.
func CurrentCgroup() (string, error) {
	own, err := readWith("/proc/self/cgroup", parseOwnCgroup)
	if err != nil {
		return "", err
	}
	mounts, err := readWith("/proc/self/mountinfo", parseCgroup2Mounts)
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		dir, ok := m.directory(own)
		if !ok {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, CgroupProcs)); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: no mount shows cgroup %q of this process", ErrNoCgroup2, own)
}

func readWith[T any](file string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(file)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	return parse(f)
}

// parseOwnCgroup finds the cgroup v2 in /proc/PID/cgroup, cgroups(7): the line
// "0::/path". Hybrid hosts have lines of version 1 as well.
func parseOwnCgroup(r io.Reader) (string, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "0::"); ok {
			return path, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%w: this process is in no cgroup v2", ErrNoCgroup2)
}

// A cgroup2Mount is a mount of the cgroup v2 hierarchy.
type cgroup2Mount struct {
	root  string // the cgroup that is mounted, seen from our cgroup namespace
	point string // where
}

// directory returns where the mount shows a cgroup.
func (m cgroup2Mount) directory(cgroup string) (dir string, ok bool) {
	if strings.HasPrefix(cgroup, "/..") { // outside of our cgroup namespace
		return "", false
	}
	rel, err := filepath.Rel(m.root, cgroup)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return filepath.Join(m.point, rel), true
}

// parseCgroup2Mounts finds the mounts in /proc/PID/mountinfo, proc(5): the
// fields before the separator are id, parent, device, root, mount point, options
// and optional ones; behind it the type of the file system.
func parseCgroup2Mounts(r io.Reader) ([]cgroup2Mount, error) {
	var mounts []cgroup2Mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		mounts = append(mounts, cgroup2Mount{root: unescape(fields[3]), point: unescape(fields[4])})
	}
	return mounts, lines.Err()
}

// unescape undoes the kernel's escapes of blanks and backslashes: \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
