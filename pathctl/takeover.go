package pathctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mpproxy/internal/journal"
)

// The path manager is chosen for each network namespace: by name since Linux
// 6.15, by number before.
const (
	sysctlByName   = "/proc/sys/net/mptcp/path_manager"
	sysctlByNumber = "/proc/sys/net/mptcp/pm_type"
)

// pathManagerKey is the journal's entry for the path manager.
const pathManagerKey = "mptcp.path_manager"

// takePathManager makes user space the path manager of new connections in this
// network namespace. What it was is on disk before.
func takePathManager(j *journal.Journal) (before string, err error) {
	path, value := sysctlByName, "userspace"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path, value = sysctlByNumber, "1"
	}
	if before, err = readSysctl(path); err != nil {
		return "", fmt.Errorf("reading the path manager: %w", err)
	}
	if before == value {
		return before, nil // by somebody else, and not ours to put back
	}
	if err := changeSysctl(j, pathManagerKey, path, before, value); err != nil {
		return before, fmt.Errorf("taking over the path manager: %w", err)
	}
	return before, nil
}

// returnPathManager puts the path manager back, unless somebody has changed it
// since.
func returnPathManager(j *journal.Journal) error { return returnSysctl(j, pathManagerKey) }

// foundInUserSpace reports, after takePathManager, whether there was nothing to
// take: somebody else had made user space the path manager.
func foundInUserSpace(j *journal.Journal) (bool, error) {
	taken, err := j.Pending(pathManagerKey, new(savedSysctl))
	return err == nil && !taken, err
}
