package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Recording is a capture in a goroutine of its own.
type Recording struct {
	capture *Capture
	done    chan struct{}
	err     error
	news    chan struct{} // holds one word while somebody has not looked

	mu   sync.Mutex
	kept []Segment
}

// Record captures what keep wants, until Stop. The context bounds the start.
func Record(ctx context.Context, ns Namespace, o Options, keep func(Segment) bool) (*Recording, error) {
	c, err := Open(ctx, ns, o)
	if err != nil {
		return nil, err
	}
	r := &Recording{capture: c, done: make(chan struct{}), news: make(chan struct{}, 1)}
	go r.collect(keep)
	return r, nil
}

func (r *Recording) collect(keep func(Segment) bool) {
	defer close(r.done)
	for {
		s, err := r.capture.Next(context.Background())
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				r.err = err
			}
			return
		}
		if !keep(s) {
			continue
		}
		r.mu.Lock()
		r.kept = append(r.kept, s)
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
	}
}

// Await waits until enough says that what was captured is enough. One goroutine
// may wait.
func (r *Recording) Await(ctx context.Context, enough func([]Segment) bool) error {
	for {
		r.mu.Lock()
		ok := enough(r.kept)
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-r.news:
		case <-r.done:
			return errors.New("capture: it ended before there was enough")
		case <-ctx.Done():
			return fmt.Errorf("capture: waiting for segments: %w", ctx.Err())
		}
	}
}

// Stop ends the recording and returns what it has. It is an error when the
// kernel dropped frames. It must be called once.
func (r *Recording) Stop() ([]Segment, error) {
	dropped, err := r.capture.Dropped()
	err = errors.Join(err, r.capture.Close())
	<-r.done
	if dropped > 0 {
		err = errors.Join(err, fmt.Errorf("capture: %d frames were missed: the buffer is too small", dropped))
	}
	return r.kept, errors.Join(err, r.err)
}
