package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// killWait bounds the time that a killed process may take to end.
const killWait = 10 * time.Second

// Spec says what Start starts.
type Spec struct {
	Path  string   // absolute, or looked up in PATH
	Args  []string // without the name of the program
	Env   []string // NAME=value, added to Host.Environ
	Name  string   // for log lines and errors; empty is the base of Path
	Stdin io.Reader
	// Logf overrides HostConfig.Logf.
	Logf func(format string, args ...any)
}

// Process is a program that runs in a host, its output kept. It is killed when
// the host is closed.
type Process struct {
	name   string
	host   *Host
	cmd    *Cmd
	output *output
	cancel context.CancelFunc
	done   chan struct{} // closed once err is set
	err    error
}

// Start starts a program. The context bounds the start only.
func (h *Host) Start(ctx context.Context, s Spec) (*Process, error) {
	if s.Name == "" {
		s.Name = filepath.Base(s.Path)
	}
	if s.Logf == nil {
		s.Logf = h.logf
	}
	life, cancel := context.WithCancel(context.Background())
	p := &Process{name: s.Name, host: h, cancel: cancel, done: make(chan struct{})}
	p.output = newOutput(func(line string) { s.Logf("%s/%s: %s", h.name, s.Name, line) })
	p.cmd = h.Command(life, s.Path, s.Args...)
	p.cmd.ctx = ctx
	p.cmd.Env = append(p.cmd.Env, s.Env...)
	p.cmd.Stdin = s.Stdin
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := h.register(p); err != nil {
		cancel()
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		h.unregister(p)
		cancel()
		p.err = err
		close(p.done)
		return nil, err
	}
	go p.wait()
	return p, nil
}

func (h *Host) register(p *Process) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("host %s: %w", h.name, ErrClosed)
	}
	h.processes[p] = struct{}{}
	return nil
}

func (h *Host) unregister(p *Process) {
	h.mu.Lock()
	delete(h.processes, p)
	h.mu.Unlock()
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.output.close()
	p.host.unregister(p)
	p.cancel()
	p.err = err
	close(p.done)
}

// Name is the name given in Spec.
func (p *Process) Name() string { return p.name }

// Pid is the process id, in the caller's process namespace.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output returns what the process has written to both outputs, the last 256 KiB.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("netns: signal %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Wait waits for the end of the process: nil for status 0, an *exec.ExitError
// for another, the context's error when the process still runs.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("netns: %s still runs: %w", p.name, ctx.Err())
	}
}

// WaitOutput waits until the output contains text, and returns the line; it
// fails when the process ends without.
func (p *Process) WaitOutput(ctx context.Context, text string) (string, error) {
	line, err := p.output.wait(ctx, text)
	if err != nil {
		return "", fmt.Errorf("netns: %s: waiting for %q: %w; output:\n%s", p.name, text, err, p.Output())
	}
	return line, nil
}

// Stop sends SIGTERM, waits until the context ends at the latest, and kills what
// is left. It returns the error of Wait.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := p.Wait(ctx)
	return errors.Join(err, p.Kill())
}

// Kill kills the process with its process group and waits for its end. It is nil
// when the process has ended already.
func (p *Process) Kill() error {
	p.cancel() // Cmd.Cancel kills the group
	select {
	case <-p.done:
		return nil
	case <-time.After(killWait):
		return fmt.Errorf("netns: %s (process %d) did not end within %v of SIGKILL", p.name, p.Pid(), killWait)
	}
}

// killStragglers kills processes that left their group but not the host, daemons
// that forked twice. Whatever is in a namespace that we made is ours.
func (h *Host) killStragglers() error {
	var own syscall.Stat_t
	if err := syscall.Fstat(h.NetNS(), &own); err != nil {
		return err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat(filepath.Join("/proc", e.Name(), "ns/net"), &st) == nil && st.Dev == own.Dev && st.Ino == own.Ino {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}
