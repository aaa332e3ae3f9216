package admin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// task is what both servers are to the daemon.
type task interface {
	Run(context.Context) error
	Ready() <-chan struct{}
}

// startTask runs a server until the returned function is called, which returns
// what Run does, each time.
func startTask(t *testing.T, s task) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go runTask(ctx, s, done)
	select {
	case <-s.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("Run = %v before it was ready", err)
	}
	return sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Run does not end")
		}
	})
}

func runTask(ctx context.Context, s task, done chan<- error) { done <- s.Run(ctx) }
