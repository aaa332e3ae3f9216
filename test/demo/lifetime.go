//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// showTimeout bounds the show from the end of the build on.
	showTimeout = 55 * time.Second
	// closeTimeout is what is left after that to take everything down.
	closeTimeout = 4 * time.Second
)

var (
	errInterrupted = errors.New("interrupted")
	errTooLong     = fmt.Errorf("something hung: the demonstration was ended after %s", showTimeout)
)

// untilInterrupted returns a context that ends with Ctrl-C, a request to stop,
// a closed terminal, or a reader of the output that left (`demo | head`).
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go cancelOnSignal(ctx, cancel, signals)
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

func cancelOnSignal(ctx context.Context, cancel context.CancelCauseFunc, signals <-chan os.Signal) {
	select {
	case <-signals:
		cancel(errInterrupted)
	case <-ctx.Done():
	}
}

// withDeadline calls fn with a context that ends in time, and ends the program
// when even taking things down hangs; what runs in the namespaces dies with it.
func withDeadline(dir string, fn func(context.Context, string) error) error {
	ctx, cancel := untilInterrupted(context.Background())
	defer cancel()
	ctx, stop := context.WithTimeoutCause(ctx, showTimeout, errTooLong)
	defer stop()
	last := time.AfterFunc(showTimeout+closeTimeout, func() {
		fmt.Fprintf(os.Stderr, "\ndemo: %v, and taking it down hung as well\n", errTooLong)
		_ = os.RemoveAll(dir) // nothing better can be done with an error here
		os.Exit(1)
	})
	defer last.Stop()
	err := fn(ctx, dir)
	if err != nil && ctx.Err() != nil {
		// What failed because the time was up says less than that it was up.
		return context.Cause(ctx)
	}
	return err
}

// dieWithParent asks for SIGTERM when the parent ends: the go command, which
// does not pass on a SIGTERM of its own, or the program that called
// netns.Enter, whose end would otherwise be SIGKILL for us and leave files.
// PR_SET_PDEATHSIG is a property of the thread (prctl(2)): it goes to the main
// one, which lives as long as the program.
func dieWithParent() {
	// A kernel without it, or a parent that is gone already, changes little.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)
	runtime.UnlockOSThread()
}

// init runs on the main thread, and main stays there until dieWithParent.
func init() { runtime.LockOSThread() }

// leaveInterruptsToTheChild keeps Ctrl-C, which goes to all programs of the
// terminal, from ending this one while the one that netns.Enter starts still
// takes things down. Where Enter starts none, withDeadline listens as well.
func leaveInterruptsToTheChild() { signal.Notify(make(chan os.Signal, 1), os.Interrupt) }
