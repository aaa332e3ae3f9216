package netns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by the methods of a Host or Topology after Close.
var ErrClosed = errors.New("netns: closed")

// HostConfig describes a Host.
type HostConfig struct {
	// Name is used in errors, in log lines and as a directory name.
	Name string
	// Dir is where the files of the host are kept, a directory Name is made in
	// it; empty means a new temporary directory, removed by Close.
	Dir string
	// Names is the content of /etc/hosts besides localhost.
	Names []NameEntry
	// Forward makes the host a router.
	Forward bool
	// Logf gets the output of the processes, line by line, in addition to
	// Process.Output; nil is none. It may be called from several goroutines.
	Logf func(format string, args ...any)
}

// NameEntry is one line of /etc/hosts.
type NameEntry struct {
	Addr netip.Addr
	Name string
}

// Host is a machine of the emulated network: a network namespace of its own
// with lo up, and a mount namespace with its own /etc/hosts, /etc/resolv.conf
// and an empty /run. One locked thread holds both; when it ends, and all
// processes in it have ended, the kernel removes them.
type Host struct {
	name   string
	dir    string
	ownDir *TempDir // to be removed by Close; may be nil
	logf   func(format string, args ...any)
	nsFile *os.File
	work   chan task
	quit   chan struct{}
	done   chan struct{}

	mu        sync.Mutex
	closed    bool
	processes map[*Process]struct{}
}

type task struct {
	fn     func() error
	result chan error
}

// NewHost makes a host. The context bounds the set-up.
func NewHost(ctx context.Context, c HostConfig) (*Host, error) {
	if c.Name == "" || strings.ContainsRune(c.Name, filepath.Separator) {
		return nil, fmt.Errorf("netns: host name %q: want a plain file name", c.Name)
	}
	h := &Host{
		name:      c.Name,
		logf:      c.Logf,
		work:      make(chan task),
		quit:      make(chan struct{}),
		done:      make(chan struct{}),
		processes: map[*Process]struct{}{},
	}
	if h.logf == nil {
		h.logf = func(string, ...any) {}
	}
	if err := h.makeDirs(c.Dir); err != nil {
		if h.ownDir != nil {
			err = errors.Join(err, h.ownDir.Remove())
		}
		return nil, err
	}
	ready := make(chan error, 1)
	go h.thread(ready)
	err := <-ready
	if err == nil {
		err = h.Do(ctx, func() error { return h.setUp(c) })
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("netns: host %s: %w", c.Name, err)
	}
	return h, nil
}

func (h *Host) makeDirs(base string) error {
	if base == "" {
		var err error
		if h.ownDir, err = NewTempDir(tempPrefix); err != nil {
			return fmt.Errorf("netns: %w", err)
		}
		base = h.ownDir.Path
	}
	h.dir = filepath.Join(base, h.name)
	for _, sub := range []string{"home", "tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(h.dir, sub), 0o700); err != nil {
			return fmt.Errorf("netns: %w", err)
		}
	}
	return nil
}

// setUp runs on the host's thread, in its namespaces.
func (h *Host) setUp(c HostConfig) error {
	if err := h.mount(c.Names); err != nil {
		return err
	}
	if err := defaultSysctls(c.Forward); err != nil {
		return err
	}
	return loopbackUp()
}

// thread is the goroutine that holds the namespaces. Its thread is locked and
// never unlocked, so that it ends with the goroutine.
func (h *Host) thread(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread would not end, and /proc/self shows its namespaces:
		// keep it busy until another thread has been taken.
		started := make(chan error)
		go h.thread(started)
		ready <- <-started
		runtime.UnlockOSThread()
		return
	}
	defer close(h.done)
	if err := h.enterNew(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for {
		select {
		case t := <-h.work:
			t.run()
		case <-h.quit:
			return
		}
	}
}

// run answers in every case, even when fn ends its goroutine (t.FailNow on the
// wrong one does), which takes the host down with it.
func (t task) run() {
	err := errors.New("netns: the function ended the goroutine of its host (t.Fatal must not be called in Do)")
	defer func() { t.result <- err }()
	err = t.fn()
}

// enterNew moves the calling thread to namespaces of its own.
func (h *Host) enterNew() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new network and mount namespaces: %w", err)
	}
	var err error
	h.nsFile, err = os.Open("/proc/thread-self/ns/net")
	return err
}

// Name is the host's name.
func (h *Host) Name() string { return h.name }

// Dir is the host's directory. It is an ordinary one that other hosts and the
// calling program see too; processes get Dir()/home as HOME and Dir()/tmp as
// TMPDIR.
func (h *Host) Dir() string { return h.dir }

// NetNS is a descriptor of the host's network namespace. It belongs to the host.
func (h *Host) NetNS() int { return int(h.nsFile.Fd()) }

// Do runs fn on the host's thread and waits for it: what fn opens (sockets,
// listeners, netlink connections, files in /run) is opened in the host. Once fn
// has begun Do waits until it returns, whatever ctx says; functions run one
// after the other, so fn must not wait for long and must not call Do.
//
// Only what fn does on its own goroutine happens in the host. net.Dial of a host
// name starts goroutines: use DialContext, or dial addresses.
func (h *Host) Do(ctx context.Context, fn func() error) error {
	t := task{fn: fn, result: make(chan error, 1)}
	select {
	case h.work <- t:
		return <-t.result
	case <-h.done:
		return fmt.Errorf("host %s: %w", h.name, ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("netns: host %s is busy: %w", h.name, ctx.Err())
	}
}

// Close kills what runs in the host, ends its thread and removes its temporary
// directory. Closing twice is fine.
func (h *Host) Close() error {
	h.mu.Lock()
	already := h.closed
	h.closed = true
	h.mu.Unlock()
	if already {
		<-h.done
		return nil
	}
	errs := []error{h.killAll()}
	close(h.quit)
	<-h.done
	if h.nsFile != nil {
		h.nsFile.Close()
	}
	if h.ownDir != nil {
		errs = append(errs, h.ownDir.Remove())
	}
	return errors.Join(errs...)
}

// killAll kills the processes of the host.
func (h *Host) killAll() error {
	h.mu.Lock()
	processes := slices.Collect(maps.Keys(h.processes))
	h.mu.Unlock()
	var errs []error
	for _, p := range processes {
		p.cancel()
	}
	if h.nsFile != nil {
		// Before the wait: a daemon may hold the output of its parent open.
		errs = append(errs, h.killStragglers())
	}
	for _, p := range processes {
		errs = append(errs, p.Kill())
	}
	return errors.Join(errs...)
}
