package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// scripted is a kernel in which these things have happened, and then nothing.
type scripted struct {
	quiet
	told []told
}

type told struct {
	ev  mptcppm.Event
	err error
}

func (s *scripted) Next() (mptcppm.Event, error) {
	if len(s.told) == 0 {
		return s.quiet.Next()
	}
	next := s.told[0]
	s.told = s.told[1:]
	return next.ev, next.err
}

// starting runs an engine until the test ends.
func starting(t *testing.T, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go runEngine(ctx, e, done)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestLoopCountsGaps: a gap in the events is shown by status, every connection is
// read anew, and what follows is taken.
func TestLoopCountsGaps(t *testing.T) {
	b := newBench(t, policy.Client)
	b.begun(t)
	r := &fakeReader{reading: onFirst()}
	b.register(registration(r, mode.Single))(b.now)
	b.queue.schedule(b.conns[testToken], time.Now().Add(time.Hour))
	b.conns[testToken].looked = true
	gap := &mptcppm.OpError{Op: "receive event", Kind: mptcppm.ErrEventsLost, Err: errors.New("no buffer space")}
	later := mptcppm.Event{Kind: mptcppm.EventEstablished, Token: testToken + 1, Local: mapped10, Remote: far10}
	b.events = &scripted{quiet: newQuiet(t), told: []told{{err: gap}, {ev: later}}}
	starting(t, b.Engine)
	reads, conns := 0, 0
	for conns < 2 {
		seen := make(chan struct{})
		b.post(t.Context(), func(time.Time) { reads, conns = r.reads, len(b.conns); close(seen) })
		<-seen
	}
	if got := b.EventGaps(); got != 1 || reads == 0 {
		t.Errorf("%d gaps, want 1, and %d readings", got, reads)
	}
}

// TestLoopWakes: the goroutine sleeps until something is posted, and until a
// connection is due.
func TestLoopWakes(t *testing.T) {
	b := newBench(t, policy.Client)
	b.begun(t)
	r := &countedReader{fakeReader: fakeReader{reading: onFirst()}, read: make(chan struct{}, 99)}
	b.register(registration(r, mode.Single))(b.now)
	b.conns[testToken].looked = true
	b.queue.schedule(b.conns[testToken], time.Now().Add(20*time.Millisecond))
	starting(t, b.Engine)
	<-r.read
	var posted atomic.Int32
	const posters, each = 4, 100
	all := make(chan struct{})
	for range posters {
		go postMany(b.Engine, each, &posted, posters*each, all)
	}
	<-all
}

// postMany posts one after the other; the last one of all closes all.
func postMany(e *Engine, n int, posted *atomic.Int32, last int32, all chan<- struct{}) {
	for range n {
		e.post(context.Background(), func(time.Time) {
			if posted.Add(1) == last {
				close(all)
			}
		})
	}
}

// countedReader tells of each reading.
type countedReader struct {
	fakeReader
	read chan struct{}
}

func (r *countedReader) Read() (Reading, error) {
	select {
	case r.read <- struct{}{}:
	default:
	}
	return r.fakeReader.Read()
}

func TestStandstill(t *testing.T) {
	b := newBench(t, policy.Client)
	b.noticeStandstill(start, start.Add(standstill))
	if !b.awake.IsZero() {
		t.Error("a little late is no standstill")
	}
	b.noticeStandstill(start, start.Add(2*standstill))
	if b.awake != start.Add(2*standstill) {
		t.Errorf("awake since %v", b.awake)
	}
}
