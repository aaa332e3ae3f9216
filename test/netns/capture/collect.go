package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Recording is a capture in a goroutine of its own.
type Recording struct {
	capture *Capture
	done    chan struct{}
	kept    []Segment
	err     error
}

// Record captures what keep wants, until Stop. The context bounds the start.
func Record(ctx context.Context, ns Namespace, o Options, keep func(Segment) bool) (*Recording, error) {
	c, err := Open(ctx, ns, o)
	if err != nil {
		return nil, err
	}
	r := &Recording{capture: c, done: make(chan struct{})}
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
		if keep(s) {
			r.kept = append(r.kept, s)
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
