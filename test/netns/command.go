package netns

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runtimeDir is XDG_RUNTIME_DIR of the processes, in the host's private /run.
const runtimeDir = "/run/xdg"

// Cmd is an exec.Cmd that starts in a host: short commands whose result is
// wanted, where Start and Process would be too much. The program runs as leader
// of a process group of its own; it is killed when the context ends, and when
// the host's thread does.
type Cmd struct {
	*exec.Cmd
	ctx  context.Context
	host *Host
}

// Command prepares a command. Its environment is Host.Environ; Cmd.Env may be
// changed before it starts.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = h.Environ()
	cmd.Dir = filepath.Join(h.dir, "home")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true,
		// Sent when the thread that forked ends, which is the host's: nothing
		// outlives a test that was killed.
		Pdeathsig: syscall.SIGKILL,
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A grandchild that holds the pipes must not hold Wait.
	cmd.WaitDelay = 5 * time.Second
	return &Cmd{Cmd: cmd, ctx: ctx, host: h}
}

// Start starts the command in the namespaces of the host.
func (c *Cmd) Start() error {
	// The child inherits the namespaces of the thread that forks it.
	if err := c.host.Do(c.ctx, c.Cmd.Start); err != nil {
		return fmt.Errorf("netns: start %s in host %s: %w", c.Path, c.host.name, err)
	}
	return nil
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output; its standard error is
// part of the error.
func (c *Cmd) Output() ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// CombinedOutput runs the command and returns what it wrote to both outputs.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var both bytes.Buffer
	c.Stdout, c.Stderr = &both, &both
	err := c.Run()
	return both.Bytes(), err
}

// Environ is the environment of the host's processes: that of the calling
// program with a home, a directory for temporary files and a runtime directory
// of the host's own, and without proxies.
func (h *Host) Environ() []string {
	env := make([]string, 0, 32)
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		lower := strings.ToLower(name)
		switch {
		case strings.HasSuffix(lower, "_proxy"), strings.HasPrefix(name, "XDG_"),
			name == "HOME", name == "TMPDIR", name == envEntered:
		default:
			env = append(env, e)
		}
	}
	return append(env,
		"HOME="+filepath.Join(h.dir, "home"),
		"TMPDIR="+filepath.Join(h.dir, "tmp"),
		"XDG_RUNTIME_DIR="+runtimeDir)
}
