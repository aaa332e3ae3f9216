//go:build linux

// Command demo shows mpproxy at work on one machine, without anything to set
// up: `make demo`, or
//
//	go run ./test/demo
//
// It builds both programs, lays two emulated links between network namespaces,
// starts the programs with what `mpproxy-server init` printed, and downloads
// through them with a live bar for each link; then over the first link alone;
// then with that link unplugged on the way. It needs root or a user namespace,
// ends by itself within showTimeout after the build and leaves nothing behind.
//
// It is no benchmark and no test: it fails when something does not work, never
// because it was slow. For numbers there is test/bench.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mpproxy/test/netns"
)

func main() { os.Exit(run()) }

func run() int {
	dieWithParent()
	dir, err := prepare()
	if err == nil {
		leaveInterruptsToTheChild()
		if err = netns.Enter(); err != nil {
			err = fmt.Errorf("%w (%w)", errNamespaces, err)
		} else {
			err = withDeadline(dir, show)
		}
	}
	if rerr := os.RemoveAll(dir); err == nil {
		err = rerr
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "demo:", explain(err))
	if errors.Is(err, errInterrupted) {
		return 130 // as shells do for SIGINT
	}
	return 1
}

// show plays all acts on a stage that it sets up and takes down.
func show(ctx context.Context, dir string) error {
	begun := time.Now()
	s, err := newStage(ctx, dir)
	if err != nil {
		return err
	}
	err = s.play(ctx)
	if err != nil && !errors.Is(context.Cause(ctx), errInterrupted) {
		s.printLogs(os.Stderr)
	}
	if err = errors.Join(err, s.rig.Close()); err != nil {
		return err
	}
	printConclusion(os.Stdout, time.Since(begun))
	return nil
}
