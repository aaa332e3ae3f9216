package trace

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// DefaultLimit is the size of a trace, in bytes.
const DefaultLimit = 64 << 20

// MinLimit is the least size that can be asked for, in bytes.
const MinLimit = 64 << 10

// queued bounds what waits to be written: a second of 4,096 connections that
// are looked at once.
const queued = 4096

// Config describes a trace.
type Config struct {
	// Path names the file. One that exists is replaced.
	Path string
	// Limit bounds the size in bytes, at least MinLimit; 0 means DefaultLimit.
	// When half of it is written, the file is renamed to Path + ".1", in place of
	// the one before, and begun anew.
	Limit int64
	// Program says who writes.
	Program string
}

// entry is what waits to be written.
type entry struct {
	look engine.Look
	told *engine.Decision // or else look
}

// Recorder is a engine.Recorder that writes a trace. It is a daemon task: what
// it is handed is written while Run runs.
type Recorder struct {
	log     *slog.Logger
	file    *file
	queue   chan entry
	dropped atomic.Uint64
	stopped atomic.Bool // writing has failed
	ready   chan struct{}
	modes   map[string]policy.Spec // that this file defines
}

// Create begins a trace. A nil log is none.
func Create(cfg Config, log *slog.Logger) (*Recorder, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.Limit == 0:
		cfg.Limit = DefaultLimit
	case cfg.Limit < MinLimit:
		return nil, fmt.Errorf("recording a trace: a size of %d bytes is too small: use at least %d", cfg.Limit, MinLimit)
	}
	f, err := create(cfg)
	if err != nil {
		return nil, fmt.Errorf("recording a trace: %w", err)
	}
	r := &Recorder{
		log: log, file: f, queue: make(chan entry, queued),
		ready: make(chan struct{}), modes: make(map[string]policy.Spec),
	}
	close(r.ready)
	return r, nil
}

// Ready is closed from the start.
func (r *Recorder) Ready() <-chan struct{} { return r.ready }

// String names the task.
func (r *Recorder) String() string { return "trace" }

// Looked records a look.
func (r *Recorder) Looked(l engine.Look) { r.put(entry{look: l}) }

// Told records a decision.
func (r *Recorder) Told(d engine.Decision) { r.put(entry{told: &d}) }

// put queues an entry, or counts it as dropped.
func (r *Recorder) put(e entry) {
	if r.stopped.Load() {
		return
	}
	select {
	case r.queue <- e:
	default:
		r.dropped.Add(1)
	}
}

// Run writes until ctx is done, and then what is left. A file that cannot be
// written ends the trace, not the program: the log tells.
func (r *Recorder) Run(ctx context.Context) error {
	r.log.Info("recording a trace", "file", r.file.cfg.Path, "at_most_bytes", r.file.cfg.Limit)
	for {
		select {
		case e := <-r.queue:
			r.write(e)
		case <-ctx.Done():
			r.finish()
			return nil
		}
	}
}

// finish writes what is queued.
func (r *Recorder) finish() {
	for {
		select {
		case e := <-r.queue:
			r.write(e)
		default:
			r.check(r.writeDropped())
			r.check(r.file.close())
			return
		}
	}
}

func (r *Recorder) write(e entry) {
	if r.stopped.Load() {
		return
	}
	err := r.writeDropped()
	if err == nil {
		err = r.writeEntry(e)
	}
	if err == nil && len(r.queue) == 0 {
		err = r.file.flush()
	}
	if err == nil && r.file.full() {
		r.log.Info("the trace is full: going on in a new file", "kept", r.file.older())
		clear(r.modes)
		err = r.file.rotate()
	}
	r.check(err)
}

// check ends the trace when writing has failed.
func (r *Recorder) check(err error) {
	if err != nil && !r.stopped.Swap(true) {
		r.log.Warn("the trace ends here: it cannot be written", "error", err)
	}
}

func (r *Recorder) writeDropped() error {
	n := r.dropped.Swap(0)
	if n == 0 {
		return nil
	}
	r.log.Warn("the trace has a gap: the disk is too slow", "missing", n)
	return r.file.add(line{Dropped: &n})
}

func (r *Recorder) writeEntry(e entry) error {
	if e.told != nil {
		return r.file.add(line{Told: e.told})
	}
	l := e.look
	mode := policy.Spec{Name: l.Mode, Base: l.Conn.Mode, Params: l.Conn.Params}
	if mode.Params == (policy.Params{}) {
		mode.Params = policy.DefaultParams(mode.Base)
	}
	if r.modes[l.Mode] != mode {
		if err := r.file.add(line{Mode: &mode}); err != nil {
			return err
		}
		r.modes[l.Mode] = mode
	}
	return r.file.add(line{Look: lookOf(l)})
}
