package subopt

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is the network namespace of the thread that called Open.
type namespace struct {
	file *os.File
	stat unix.Stat_t
}

const threadNamespace = "/proc/thread-self/ns/net"

func currentNamespace() (*namespace, error) {
	f, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace: %w", err)
	}
	ns := &namespace{file: f}
	if err := unix.Fstat(int(f.Fd()), &ns.stat); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("identify the network namespace: %w", err)
	}
	return ns, nil
}

// do runs f on a thread that is in the namespace: that of the caller, as a rule.
// Another one has to be put there, which takes CAP_SYS_ADMIN.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var here unix.Stat_t
	if err := unix.Stat(threadNamespace, &here); err != nil {
		return fmt.Errorf("identify the network namespace: %w", err)
	}
	if here.Dev == n.stat.Dev && here.Ino == n.stat.Ino {
		return f()
	}
	done := make(chan error)
	go n.doOnOwnThread(f, done)
	return <-done
}

// doOnOwnThread ends with its thread locked, which ends the thread.
func (n *namespace) doOnOwnThread(f func() error, done chan<- error) {
	runtime.LockOSThread()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		done <- fmt.Errorf("enter the network namespace in which Open was called: %w", err)
		return
	}
	done <- f()
}

func (n *namespace) close() error { return n.file.Close() }
