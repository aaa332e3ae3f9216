package subflowbpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"sync"

	"mpproxy/mptcpsock/uapi"
)

// queueLength is how many events wait between the sensor and Receive. When they
// are not taken, the kernel's ring fills, and counts what it drops.
const queueLength = 64

// A Watcher tells what happens to subflows. Its methods may be called from
// several goroutines at once.
type Watcher struct {
	mechanism Mechanism
	sensor    sensor
	events    chan Event
	cancel    context.CancelFunc
	ended     chan struct{} // closed when the sensor's goroutine has returned
	failure   error         // of it; read after ended

	mu     sync.Mutex
	told   uint64 // lost events that Receive has reported
	closed bool
	result error // of Close
}

// Open begins to watch, by the best mechanism that works here: without any
// privileges it polls. It fails when the configuration is out of range, which is
// an fs.ErrInvalid. A nil log is none.
//
// The mechanism Filtered looks at the network namespace of the calling thread.
func Open(c Config, log *slog.Logger) (*Watcher, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s, mechanism := choose(c, log)
	log.Info("watching subflows for timeouts", "mechanism", mechanism.String())
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{
		mechanism: mechanism, sensor: s, cancel: cancel,
		events: make(chan Event, queueLength), ended: make(chan struct{}),
	}
	go w.pump(ctx)
	return w, nil
}

// choose tries the mechanisms, best first.
func choose(c Config, log *slog.Logger) (sensor, Mechanism) {
	if c.PollingOnly {
		return newPoller(log), Mechanism{Polling, ErrSwitchedOff}
	}
	onOwn, loaded, errOwn := openOwnCgroup(c, log)
	switch {
	case errOwn == nil:
		return onOwn, Mechanism{Kind: OwnCgroup}
	case !loaded || c.OwnCgroupOnly:
		return newPoller(log), Mechanism{Polling, errOwn}
	}
	filtered, err := openFiltered(c, log)
	if err != nil {
		return newPoller(log), Mechanism{Polling, errors.Join(errOwn, err)}
	}
	return filtered, Mechanism{Filtered, errOwn}
}

// Mechanism says how events are found, and why not in a better way. It does not
// change.
func (w *Watcher) Mechanism() Mechanism { return w.mechanism }

// Add says that a connection is ours. On a cgroup of our own all are watched
// anyway; the other mechanisms watch those that were added, and no other. Adding
// a token again replaces its source.
//
// A token of zero, as of a connection that fell back to TCP, is an fs.ErrInvalid.
// It also fails when a shared cgroup's program has 65,536 connections already.
func (w *Watcher) Add(s Source) error {
	token := s.Token()
	if token == 0 {
		return fmt.Errorf("subflowbpf: watch a connection without a token: %w", fs.ErrInvalid)
	}
	return w.use(func() error { return w.sensor.add(token, s) })
}

// Remove says that a connection is over; an unknown token is no error. Events of
// it that are under way are still delivered.
func (w *Watcher) Remove(t uapi.Token) error {
	return w.use(func() error { return w.sensor.remove(t) })
}

// Lost returns how many events were dropped since Open, because they were not
// received fast enough.
func (w *Watcher) Lost() (n uint64, err error) {
	err = w.use(func() error {
		n, err = w.sensor.lost()
		return err
	})
	return n, err
}

// use keeps Close away while the sensor is used.
func (w *Watcher) use(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	return f()
}

var errClosed = fmt.Errorf("subflowbpf: %w", fs.ErrClosed)

// Receive waits for the next event, until ctx ends. An error that matches
// ErrEventsLost is a gap: call again. Every other one is final, fs.ErrClosed
// after Close, or the context's.
//
// A gap is told once the events that were kept have been received.
func (w *Watcher) Receive(ctx context.Context) (Event, error) {
	if err := ctx.Err(); err != nil {
		return Event{}, err
	}
	select {
	case e := <-w.events:
		return e, nil
	default:
	}
	if err := w.gap(); err != nil {
		return Event{}, err
	}
	select {
	case e := <-w.events:
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	case <-w.ended:
		return Event{}, w.failure
	}
}

// gap returns a *LostError if events were lost since it last did.
func (w *Watcher) gap() error {
	return w.use(func() error {
		n, err := w.sensor.lost()
		if err != nil {
			return err
		}
		if n == w.told {
			return nil
		}
		e := &LostError{Count: n - w.told}
		w.told = n
		return e
	})
}

// All yields events and gaps, as Receive gives them; the error that ended it is
// the last that is yielded.
func (w *Watcher) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := w.Receive(ctx)
			if !yield(e, err) || (err != nil && !errors.Is(err, ErrEventsLost)) {
				return
			}
		}
	}
}

// pump moves events from the sensor to Receive.
func (w *Watcher) pump(ctx context.Context) {
	defer close(w.ended)
	w.failure = w.sensor.run(ctx, func(e Event) bool {
		select {
		case w.events <- e:
			return true
		case <-ctx.Done():
			return false
		}
	})
	if ctx.Err() != nil {
		w.failure = errClosed
	}
}

// Close stops watching and puts everything back: the process is in its cgroup of
// before, and the one of its own is gone. A waiting Receive ends with
// fs.ErrClosed. Closing again returns the same.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.result
	}
	w.closed = true
	w.cancel()
	w.sensor.interrupt()
	<-w.ended
	w.result = w.sensor.close()
	return w.result
}
