package hoststate

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// savedSysctl is a sysctl's value from before it was changed.
type savedSysctl struct{ Path, Before, Set string }

// changeSysctl writes a sysctl. What it was is on disk before, as the journal's entry
// key. The error does not name what was to be changed.
func changeSysctl(j *Journal, key, path, before, value string) error {
	if err := j.Record(key, savedSysctl{path, before, value}); err != nil {
		return fmt.Errorf("it could not be put back after a crash: %w", err)
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return errors.Join(err, j.Done(key))
	}
	return nil
}

// returnSysctl puts a sysctl back that was changed, unless somebody has changed it
// since.
func returnSysctl(j *Journal, key string) error {
	var s savedSysctl
	found, err := j.Pending(key, &s)
	if err != nil || !found {
		return err
	}
	now, err := readSysctl(s.Path)
	if err != nil {
		return fmt.Errorf("putting a sysctl back: %w", err)
	}
	if now == s.Set {
		if err := os.WriteFile(s.Path, []byte(s.Before), 0); err != nil {
			return fmt.Errorf("putting a sysctl back: %w", err)
		}
	}
	return j.Done(key)
}

// readSysctl returns a sysctl's value, numbers separated by one space.
func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.Join(strings.Fields(string(b)), " "), err
}
