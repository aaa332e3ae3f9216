package pathctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

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

// savedSysctl is a sysctl's value from before it was changed.
type savedSysctl struct{ Path, Before, Set string }

// takePathManager makes user space the path manager of new connections in this
// network namespace. What it was is on disk before.
func takePathManager(j *journal.Journal) (before string, err error) {
	path, value := sysctlByName, "userspace"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path, value = sysctlByNumber, "1"
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the path manager: %w", err)
	}
	before = strings.TrimSpace(string(b))
	if before == value {
		return before, nil // by somebody else, and not ours to put back
	}
	if err := j.Record(pathManagerKey, savedSysctl{path, before, value}); err != nil {
		return before, fmt.Errorf("not taking over the path manager, because it could not be put back after a crash: %w", err)
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return before, errors.Join(fmt.Errorf("taking over the path manager: %w", err), j.Done(pathManagerKey))
	}
	return before, nil
}

// returnPathManager puts the path manager back, unless somebody has changed it
// since.
func returnPathManager(j *journal.Journal) error {
	var s savedSysctl
	found, err := j.Pending(pathManagerKey, &s)
	if err != nil || !found {
		return err
	}
	now, err := os.ReadFile(s.Path)
	if err != nil {
		return fmt.Errorf("reading the path manager: %w", err)
	}
	if strings.TrimSpace(string(now)) == s.Set {
		if err := os.WriteFile(s.Path, []byte(s.Before), 0); err != nil {
			return fmt.Errorf("putting the path manager back: %w", err)
		}
	}
	return j.Done(pathManagerKey)
}

// foundInUserSpace reports, after takePathManager, whether there was nothing to
// take: somebody else had made user space the path manager.
func foundInUserSpace(j *journal.Journal) (bool, error) {
	taken, err := j.Pending(pathManagerKey, new(savedSysctl))
	return err == nil && !taken, err
}
