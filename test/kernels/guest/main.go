// Command guest is the init of the machine that test/kernels boots: it mounts what
// tests need, loads modules, runs one test binary after the other, and switches the
// machine off. Called as sleep or true it is that program, which tests start.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/kernels/job"
	"mpproxy/test/netns/rig"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "sleep":
		time.Sleep(time.Hour)
	case "true":
	default:
		boot()
	}
}

// boot never returns: the kernel panics when its first process ends.
func boot() {
	line, err := prepare()
	if err == nil {
		err = work(line)
	}
	if err != nil {
		fmt.Println("guest:", err) // on the console
		_ = job.Write(line, job.Mark{Kind: job.Broken, Text: err.Error()})
	}
	_ = line.Close() // drains it
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// prepare makes of the initial file system one that tests can run in, and opens the
// serial line for their output.
func prepare() (line *os.File, err error) {
	for _, m := range []struct{ kind, dir, options string }{
		{"devtmpfs", "/dev", ""},
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"tmpfs", "/run", ""},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err = unix.Mount(m.kind, m.dir, m.kind, 0, m.options); err != nil {
			err = fmt.Errorf("mount %s: %w", m.dir, err)
			break
		}
	}
	line, openErr := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0)
	err = errors.Join(err, openErr)
	err = errors.Join(err, os.Setenv("PATH", "/bin"), os.Setenv("HOME", "/tmp"))
	lo, linkErr := netlink.LinkByName("lo")
	if linkErr == nil {
		linkErr = netlink.LinkSetUp(lo)
	}
	return line, errors.Join(err, linkErr)
}

func work(line io.Writer) error {
	j, err := job.Read()
	if err != nil {
		return err
	}
	for _, m := range j.Modules {
		if err := load(m); err != nil {
			return err
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	if err := job.Write(line, job.Mark{Kind: job.Ready, Text: unix.ByteSliceToString(name.Release[:])}); err != nil {
		return err
	}
	for _, c := range j.Checks {
		if err := job.Write(line, job.Mark{Kind: job.Begin, Text: c.Name}); err != nil {
			return err
		}
		err := run(c, line)
		if err != nil {
			fmt.Fprintf(line, "%s: %v\n", c.Name, err)
		}
		if err := job.Write(line, job.Mark{Kind: job.End, Text: c.Name, Failed: err != nil}); err != nil {
			return err
		}
	}
	return job.Write(line, job.Mark{Kind: job.Done})
}

func load(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", module, err)
	}
	return nil
}

// run runs a check. Each gets links to the programs in a directory of its own,
// because whoever uses rigs removes that directory in the end.
func run(c job.Check, line io.Writer) error {
	programs, err := os.MkdirTemp("/", "programs-")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(job.Programs + "/*")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Link(f, filepath.Join(programs, filepath.Base(f))); err != nil {
			return err
		}
	}
	if err := os.Chmod(programs, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), rig.EnvPrograms+"="+programs)
	cmd.Stdout, cmd.Stderr = line, line
	cmd.WaitDelay = time.Second // for what its children still write
	return cmd.Run()
}
