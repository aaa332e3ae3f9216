// Package daemon runs a program's long-lived tasks: all together, until a
// signal or the first failure, with a graceful end.
//
//	err := daemon.Run(ctx, daemon.Config{Log: log, Reload: reload}, front, controller, adminServer)
//
// The first SIGINT or SIGTERM asks the tasks to finish, a second one makes
// them end at once; SIGHUP calls Reload. systemd is told when all are ready.
// It does not know what the tasks do.
package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/mdlayher/sdnotify"
	"golang.org/x/sync/errgroup"
)

// Task is one long-lived part of a program.
type Task interface {
	// Run works until ctx is done, tidies up, and returns nil, or fails.
	Run(ctx context.Context) error
	// Ready is closed when the task does its job.
	Ready() <-chan struct{}
	// String names the task in logs and errors.
	String() string
}

// Aborter is a Task whose end can be hurried: Abort makes Run return without
// waiting for others.
type Aborter interface{ Abort() }

// Config is what Run needs besides the tasks.
type Config struct {
	Log    *slog.Logger // nil: no log
	Reload func()       // called for each SIGHUP; nil: ignored
}

// Run runs all tasks and returns when every one of them has returned. They start
// in their order, each once the one before it is ready, and stop in the reverse
// order. A task that fails, or returns before it was asked to, ends the others.
func Run(ctx context.Context, cfg Config, tasks ...Task) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	return run(ctx, cfg, signals, tasks)
}

// run is Run with signals that come from anywhere.
func run(ctx context.Context, cfg Config, signals <-chan os.Signal, tasks []Task) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	watching := make(chan struct{})
	go watchSignals(cfg, signals, stop, tasks, done, watching)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return inOrder(ctx, cfg.Log, g, tasks) })
	g.Go(func() error {
		tendHeap(ctx)
		return nil
	})
	err := g.Wait()
	close(done)
	<-watching
	return err
}

// inOrder starts each task once the one before it is ready, and when ctx is
// done stops them in the reverse order, each once the one behind it has ended:
// what a task relies on is there for as long as it runs.
func inOrder(ctx context.Context, log *slog.Logger, g *errgroup.Group, tasks []Task) error {
	type running struct {
		stop  context.CancelFunc
		ended chan struct{}
	}
	var started []running
	for _, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		taskCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		started = append(started, running{stop, ended})
		g.Go(func() error {
			defer close(ended)
			return runTask(taskCtx, t)
		})
		select {
		case <-t.Ready():
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil {
		ready(log, tasks)
	}
	<-ctx.Done()
	for _, r := range slices.Backward(started) {
		r.stop()
		<-r.ended
	}
	return nil
}

func runTask(ctx context.Context, t Task) error {
	err := t.Run(ctx)
	switch {
	case err == nil && ctx.Err() == nil:
		return fmt.Errorf("%s ended although nobody asked it to", t)
	case err == nil || ctx.Err() != nil && isCancellation(err):
		return nil
	}
	return fmt.Errorf("%s: %w", t, err)
}

// isCancellation says whether err tells of nothing but a cancelled context.
// errors.Is would also find that beside a real failure in a joined error.
func isCancellation(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return isCancellation(e.Unwrap())
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		return len(all) > 0 && !slices.ContainsFunc(all, func(err error) bool { return !isCancellation(err) })
	}
	return err == context.Canceled
}

// watchSignals turns the first signal into a graceful stop and the second
// into an immediate one. It ends with done and closes watching then.
func watchSignals(cfg Config, signals <-chan os.Signal, stop context.CancelFunc, tasks []Task, done <-chan struct{}, watching chan<- struct{}) {
	defer close(watching)
	stopping := false
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				if cfg.Reload != nil {
					cfg.Reload()
				}
			case !stopping:
				stopping = true
				cfg.Log.Info("stopping", "signal", s)
				notify(cfg.Log, sdnotify.Stopping)
				stop()
			default:
				cfg.Log.Warn("stopping at once", "signal", s)
				for _, t := range tasks {
					if a, ok := t.(Aborter); ok {
						a.Abort()
					}
				}
			}
		}
	}
}

// ready tells systemd, and the log, that every task does its job.
func ready(log *slog.Logger, tasks []Task) {
	names := make([]string, 0, len(tasks))
	for _, t := range tasks {
		names = append(names, t.String())
	}
	log.Info("ready", "tasks", strings.Join(names, ", "))
	notify(log, sdnotify.Ready)
}

func notify(log *slog.Logger, state string) {
	n, err := sdnotify.New()
	if err != nil {
		return // not started by systemd
	}
	defer n.Close()
	if err := n.Notify(state); err != nil {
		log.Warn("cannot notify systemd", "error", err)
	}
}
