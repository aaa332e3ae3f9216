package hoststate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// The path manager is chosen for each network namespace: by name since Linux
// 6.15, by number before.
const (
	sysctlByName   = "/proc/sys/net/mptcp/path_manager"
	sysctlByNumber = "/proc/sys/net/mptcp/pm_type"
)

// pathManagerKey is the journal's entry for the path manager.
const pathManagerKey = "mptcp.path_manager"

// TakePathManager makes user space the path manager of new connections in this
// network namespace. What it was is on disk before. before is "kernel" or "userspace",
// whichever way the kernel says it.
func TakePathManager(j *Journal) (before string, err error) {
	path, value := sysctlByName, "userspace"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path, value = sysctlByNumber, "1"
	}
	old, err := readSysctl(path)
	if err != nil {
		return "", fmt.Errorf("reading the path manager: %w", err)
	}
	before = pathManagerName(old)
	if old == value {
		return before, nil // by somebody else, and not ours to put back
	}
	if err := changeSysctl(j, pathManagerKey, path, old, value); err != nil {
		return before, fmt.Errorf("taking over the path manager: %w", err)
	}
	return before, nil
}

// pathManagerName is what Linux 6.15 and later call a path manager that older kernels
// number.
func pathManagerName(value string) string {
	switch value {
	case "0":
		return "kernel"
	case "1":
		return "userspace"
	}
	return value
}

// ReturnPathManager puts the path manager back, unless somebody has changed it
// since.
func ReturnPathManager(j *Journal) error { return returnSysctl(j, pathManagerKey) }

// PathManagerTaken reports, after TakePathManager, whether it was ours to take; else
// somebody had made user space the path manager before.
func PathManagerTaken(j *Journal) (bool, error) { return j.Pending(pathManagerKey, new(savedSysctl)) }

// UserSpace reports whether new connections of this network namespace belong to the
// path manager in user space. It looks at the calling thread's.
func UserSpace() (bool, error) {
	b, err := os.ReadFile(sysctlByName)
	if err == nil {
		return strings.TrimSpace(string(b)) == "userspace", nil
	}
	b, err = os.ReadFile(sysctlByNumber)
	return strings.TrimSpace(string(b)) == "1", err
}
