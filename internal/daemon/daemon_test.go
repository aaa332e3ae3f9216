package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// fake is a task of which the test decides when it is ready and how it ends.
type fake struct {
	name    string
	ready   chan struct{}
	started chan struct{}
	stopped chan struct{} // closed when the task was asked to finish
	result  chan error    // ends it, asked or not
	aborted chan struct{}
}

func newFake(name string) *fake {
	f := &fake{
		name: name, ready: make(chan struct{}), started: make(chan struct{}),
		stopped: make(chan struct{}), result: make(chan error, 1), aborted: make(chan struct{}),
	}
	close(f.ready)
	return f
}

func (f *fake) Ready() <-chan struct{} { return f.ready }
func (f *fake) String() string         { return f.name }

func (f *fake) Run(ctx context.Context) error {
	close(f.started)
	select {
	case err := <-f.result:
		return err
	case <-ctx.Done():
	}
	close(f.stopped)
	return <-f.result
}

// hasty is a task that can be hurried.
type hasty struct{ *fake }

func (h hasty) Abort() {
	close(h.aborted)
	h.result <- nil
}

// running runs tasks and sends signals to them.
type running struct {
	t       *testing.T
	signals chan os.Signal
	done    chan error
}

func start(t *testing.T, cfg Config, tasks ...Task) running {
	t.Helper()
	r := running{t, make(chan os.Signal), make(chan error, 1)}
	go runForTest(t.Context(), cfg, r, tasks)
	return r
}

func runForTest(ctx context.Context, cfg Config, r running, tasks []Task) {
	r.done <- run(ctx, cfg, r.signals, tasks)
}

func (r running) send(s os.Signal) {
	r.t.Helper()
	select {
	case r.signals <- s:
	case <-time.After(10 * time.Second):
		r.t.Fatalf("nobody takes %v", s)
	}
}

func (r running) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("the tasks do not end")
		return nil
	}
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("still waiting: %s", what)
	}
}

// finish lets a task end that is being asked to.
func (f *fake) finish(t *testing.T) {
	t.Helper()
	wait(t, f.name+" to be asked", f.stopped)
	f.result <- nil
}

func TestFirstSignalLetsTasksFinish(t *testing.T) {
	a, b := newFake("a"), hasty{newFake("b")}
	r := start(t, Config{}, a, b)
	wait(t, "b to start", b.started)
	r.send(syscall.SIGTERM)
	wait(t, "b to be asked", b.stopped)
	select {
	case <-a.stopped:
		t.Error("a was asked to finish while b, which relies on it, had not")
	case <-b.aborted:
		t.Error("the first signal hurried a task")
	case <-r.done:
		t.Error("Run did not wait for its tasks")
	default:
	}
	b.result <- context.Canceled // a task that tells why it ended
	a.finish(t)
	if err := r.end(); err != nil {
		t.Errorf("Run = %v after a graceful end, want nil", err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	slow := hasty{newFake("slow")}
	r := start(t, Config{}, slow)
	wait(t, "the task to start", slow.started)
	r.send(os.Interrupt)
	wait(t, "the task to be asked", slow.stopped)
	r.send(os.Interrupt) // nothing else would end it
	wait(t, "the task to be hurried", slow.aborted)
	if err := r.end(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestHangupReloadsAndNothingElse(t *testing.T) {
	reloaded := make(chan struct{}, 2)
	a := newFake("a")
	r := start(t, Config{Reload: func() { reloaded <- struct{}{} }}, a)
	wait(t, "the task to start", a.started)
	r.send(syscall.SIGHUP)
	wait(t, "the first reload", reloaded)
	r.send(syscall.SIGHUP)
	wait(t, "the second reload", reloaded)
	select {
	case <-a.stopped:
		t.Error("SIGHUP stopped a task")
	default:
	}
	r.send(syscall.SIGTERM)
	wait(t, "the task to be asked", a.stopped)
	r.send(syscall.SIGHUP) // while stopping: reloads, and is no second signal
	wait(t, "the third reload", reloaded)
	a.finish(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestHangupWithoutReloadIsIgnored(t *testing.T) {
	a := newFake("a")
	r := start(t, Config{}, a)
	wait(t, "the task to start", a.started)
	r.send(syscall.SIGHUP)
	r.send(syscall.SIGTERM)
	a.finish(t)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// TestStartsInOrder holds a task back until the one before it is ready, and
// never starts it when that fails.
func TestStartsInOrder(t *testing.T) {
	first, second := newFake("first"), newFake("second")
	first.ready = make(chan struct{})
	r := start(t, Config{}, first, second)
	wait(t, "the first task to start", first.started)
	select {
	case <-second.started:
		t.Error("the second task did not wait for the first")
	default:
	}
	first.result <- errBroken
	if err := r.end(); !errors.Is(err, errBroken) {
		t.Errorf("Run = %v, want the failure", err)
	}
	select {
	case <-second.started:
		t.Error("the second task started although the first had failed")
	default:
	}
}

func TestOneFailureEndsTheOthers(t *testing.T) {
	bad, good := newFake("front"), newFake("controller")
	r := start(t, Config{}, bad, good)
	wait(t, "the other task to start", good.started)
	bad.result <- errBroken
	wait(t, "the other task to be asked", good.stopped)
	good.result <- nil
	err := r.end()
	if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "front: ") {
		t.Errorf("Run = %v, want the cause with the task's name", err)
	}
}

func TestEndsOfTasks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		early   bool // the task ends without being asked to
		result  error
		want    string // part of the error; empty: none
		isCause bool   // the task's error can be found in it
	}{
		{name: "asked, no error"},
		{name: "asked, cancelled", result: fmt.Errorf("accept: %w", context.Canceled)},
		{name: "asked, cancelled twice", result: errors.Join(context.Canceled, context.Canceled)},
		{name: "asked, but could not tidy up", result: errBroken, want: "task: broken", isCause: true},
		{name: "asked, cancelled and could not tidy up", result: errors.Join(context.Canceled, errBroken), want: "task: ", isCause: true},
		{name: "early, no error", early: true, want: "task ended although nobody asked it to"},
		{name: "early, cancelled", early: true, result: fmt.Errorf("accept: %w", context.Canceled), want: "task: accept: context canceled", isCause: true},
		{name: "early, failed", early: true, result: errBroken, want: "task: broken", isCause: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			task := newFake("task")
			r := start(t, Config{}, task)
			wait(t, "the task to start", task.started)
			if !tt.early {
				r.send(syscall.SIGTERM)
				wait(t, "the task to be asked", task.stopped)
			}
			task.result <- tt.result
			switch err := r.end(); {
			case tt.want == "" && err != nil:
				t.Errorf("Run = %v, want nil", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Run = %v, want an error with %q", err, tt.want)
			case tt.isCause && !errors.Is(err, tt.result):
				t.Errorf("Run = %v, which does not wrap the cause", err)
			}
		})
	}
}

func TestContextStopsTasks(t *testing.T) {
	a := newFake("a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go runForTest(ctx, Config{}, running{done: done, signals: make(chan os.Signal)}, []Task{a})
	wait(t, "the task to start", a.started)
	cancel()
	wait(t, "the task to be asked", a.stopped)
	a.finish(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRealSignals sends them to this process, which Run has registered by the
// time that a task runs.
func TestRealSignals(t *testing.T) {
	reloaded := make(chan struct{}, 1)
	a := newFake("a")
	done := make(chan error, 1)
	go runRegistered(t.Context(), Config{Reload: func() { reloaded <- struct{}{} }}, a, done)
	wait(t, "the task to start", a.started)
	kill(t, syscall.SIGHUP)
	wait(t, "the reload", reloaded)
	kill(t, syscall.SIGTERM)
	wait(t, "the task to be asked", a.stopped)
	a.finish(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func runRegistered(ctx context.Context, cfg Config, task Task, done chan<- error) {
	done <- Run(ctx, cfg, task)
}

func kill(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}
