package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has cost so far.
type Usage struct {
	User, System time.Duration // CPU time, in steps of 10 ms
	Resident     uint64        // bytes in memory now
	MaxResident  uint64        // bytes, the most there ever were
	Descriptors  int           // open files and sockets now
	Threads      int
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Usage reads what the process has cost so far; it fails once it has ended.
func (p *Process) Usage() (Usage, error) { return ReadUsage(p.Pid()) }

// ReadUsage is Process.Usage for any process of the machine.
func ReadUsage(pid int) (Usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	var u Usage
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("netns: usage of process %d: %w", pid, err)
	}
	if err := u.parseStat(string(stat)); err != nil {
		return u, fmt.Errorf("netns: usage of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("netns: usage of process %d: %w", pid, err)
	}
	u.parseStatus(string(status))
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return u, fmt.Errorf("netns: descriptors of process %d: %w", pid, err)
	}
	u.Descriptors = len(fds)
	return u, nil
}

// clockTick is the unit of times in /proc (USER_HZ, 100 on all architectures
// that Go runs on).
const clockTick = 10 * time.Millisecond

// parseStat reads fields 14 and 15 of proc(5) stat. The name before them may
// contain anything, so count from its end.
func (u *Usage) parseStat(stat string) error {
	_, rest, ok := cutLast(stat, ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return errors.New("/proc/PID/stat is not what it was")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	u.User, u.System = time.Duration(user)*clockTick, time.Duration(system)*clockTick
	return errors.Join(err1, err2)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (u *Usage) parseStatus(status string) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			u.Resident = n << 10
		case "VmHWM":
			u.MaxResident = n << 10
		case "Threads":
			u.Threads = int(n)
		}
	}
}
