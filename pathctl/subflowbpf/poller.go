package subflowbpf

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// A poller reads sources again and again: the sensor that needs no privileges.
// Its schedule belongs to the goroutine of run; others leave their wishes in
// changes.
type poller struct {
	log     *slog.Logger
	wake    chan struct{} // buffered, 1
	mu      sync.Mutex
	changes []change
}

// A change is a source to be watched, or, with a nil source, a token to be
// forgotten.
type change struct {
	token  uapi.Token
	source Source
}

func newPoller(log *slog.Logger) *poller {
	return &poller{log: log, wake: make(chan struct{}, 1)}
}

func (p *poller) add(t uapi.Token, s Source) error {
	p.change(change{t, s})
	return nil
}

func (p *poller) limit(uapi.Token, Limits) error { return nil }

func (p *poller) firstRate(netip.Addr, uint64) error { return nil }

func (p *poller) remove(t uapi.Token) error {
	p.change(change{token: t})
	return nil
}

func (p *poller) change(c change) {
	p.mu.Lock()
	p.changes = append(p.changes, c)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lost is always 0: what is late is read late.
func (p *poller) lost() (uint64, error) { return 0, nil }

// interrupt has nothing to do: run obeys its context.
func (p *poller) interrupt() {}

func (p *poller) close() error { return nil }

// run polls until ctx ends, or emit refuses an event.
func (p *poller) run(ctx context.Context, emit func(Event) bool) error {
	s := schedule{byToken: make(map[uapi.Token]*entry)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.mu.Lock()
		changes := p.changes
		p.changes = nil
		p.mu.Unlock()
		s.apply(changes, time.Now())
		for e := s.due(time.Now()); e != nil; e = s.due(time.Now()) {
			if !p.read(&s, e, emit) {
				return ctx.Err()
			}
		}
		timer.Reset(s.wait(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// read reads one source and puts it back into the schedule.
func (p *poller) read(s *schedule, e *entry, emit func(Event) bool) bool {
	subflows, err := e.source.Subflows()
	if errors.Is(err, net.ErrClosed) {
		s.drop(e)
		return true
	}
	now := time.Now()
	if err != nil {
		if !e.failing {
			p.log.Debug("cannot read the subflows; trying again", "token", e.token, "error", err)
		}
		e.failing = true
		s.again(e, nil, now)
		return true
	}
	e.failing = false
	for _, event := range e.take(subflows, now) {
		if !emit(event) {
			return false
		}
	}
	s.again(e, subflows, now)
	return true
}

// An entry is a source in the schedule.
type entry struct {
	connection
	source  Source
	at      time.Time
	busy    bool // something was in flight
	failing bool
	index   int // in the heap
}

// A schedule says which source is to be read next.
type schedule struct {
	byToken map[uapi.Token]*entry
	queue   entryHeap
	busy    int // entries with something in flight
}

// apply adds and forgets sources. One that is added again is replaced.
func (s *schedule) apply(changes []change, now time.Time) {
	for _, c := range changes {
		if old := s.byToken[c.token]; old != nil {
			s.drop(old)
		}
		if c.source == nil {
			continue
		}
		e := &entry{connection: connection{token: c.token}, source: c.source, at: now}
		s.byToken[c.token] = e
		heap.Push(&s.queue, e)
	}
}

func (s *schedule) drop(e *entry) {
	heap.Remove(&s.queue, e.index)
	delete(s.byToken, e.token)
	if e.busy {
		s.busy--
	}
}

// due returns the entry to be read now, nil if there is none.
func (s *schedule) due(now time.Time) *entry {
	if len(s.queue) == 0 || s.queue[0].at.After(now) {
		return nil
	}
	return s.queue[0]
}

// again says when an entry is to be read the next time.
func (s *schedule) again(e *entry, subflows []Subflow, now time.Time) {
	busy := slices.ContainsFunc(subflows, inFlight)
	switch {
	case busy && !e.busy:
		s.busy++
	case !busy && e.busy:
		s.busy--
	}
	e.busy = busy
	n := s.busy
	if !busy {
		n = len(s.queue)
	}
	e.at = now.Add(interval(subflows, n))
	heap.Fix(&s.queue, e.index)
}

// wait returns how long nothing is due.
func (s *schedule) wait(now time.Time) time.Duration {
	if len(s.queue) == 0 {
		return time.Hour // until a source is added
	}
	return max(0, s.queue[0].at.Sub(now))
}

// entryHeap is a heap.Interface, the earliest first.
type entryHeap []*entry

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is called by container/heap.
func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is called by container/heap.
func (h *entryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = slices.Delete(*h, last, last+1)
	return e
}
