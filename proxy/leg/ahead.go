package leg

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/relay"
)

const (
	// refillDelay is how long the first flow of a burst lets the others go before legs are
	// opened in place of those that were taken: until then they would share the links with
	// what the burst asks for.
	refillDelay = 500 * time.Millisecond
	// lookEvery is how often legs that are ready are looked at: whether they are still
	// enough, on the right path and not too old.
	lookEvery = time.Second
	// renewTime is how long a leg is ready before another one is opened in its place. That
	// shows anew that the path leads to the concentrator, off every flow's way.
	renewTime = keepTime - 3*time.Second
	// After openings that failed, or were closed by the concentrator, there are none for a
	// while: longer each time.
	aheadPause, aheadPauseMost = 2 * time.Second, 5 * time.Minute
)

// ahead opens legs before flows ask for them, as many as demand has it. It is safe for
// concurrent use.
type ahead struct {
	session *Session
	// able: the concentrator lets legs wait for their first request. A leg has shown it.
	able atomic.Bool

	mu      sync.Mutex
	kinds   map[legKey]*kind
	opening int         // legs, of all kinds
	timer   *time.Timer // of the next look; nil: nothing is held ready
	next    time.Time
	pause   time.Duration
	until   time.Time // no leg is opened before
	closed  bool
	openers sync.WaitGroup
	ctx     context.Context // of the openers
	cancel  context.CancelFunc
}

// kind is what is known of the flows that a leg with the same key can carry.
type kind struct {
	demand
	choice  proxy.Choice
	opening int
}

func newAhead(s *Session) *ahead {
	a := &ahead{session: s, kinds: make(map[legKey]*kind)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// took notes that a flow begins.
func (a *ahead) took(key legKey, c proxy.Choice) {
	if !a.session.cfg.Ahead {
		return
	}
	now := time.Now()
	waits := a.session.idle.count(key, func(*Leg) bool { return true }) > 0
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.kinds[key]
	if k == nil {
		k = &kind{choice: c}
		a.kinds[key] = k
	}
	k.demand.took(now)
	delay := refillDelay
	if !waits {
		delay = 0 // the others of this burst would find none either
	}
	a.lookAt(now, now.Add(delay))
}

// returned notes that a leg has become free.
func (a *ahead) returned(key legKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.kinds[key]; k != nil {
		k.demand.returned()
	}
}

// lookAt has the next look come no later than at a time.
func (a *ahead) lookAt(now, at time.Time) {
	switch {
	case a.closed, a.timer != nil && !a.next.After(at):
		return
	case a.timer != nil:
		a.timer.Stop()
	}
	a.next = at
	a.timer = time.AfterFunc(at.Sub(now), a.look)
}

// look opens what is missing.
func (a *ahead) look() {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.timer = nil
	wanted := 0
	for key, k := range a.kinds {
		if k.over(now) {
			delete(a.kinds, key)
			continue
		}
		n := k.ready(now)
		wanted += n
		if n == 0 {
			closeLegs(a.session.idle.takeKey(key))
			continue
		}
		if a.able.Load() && !now.Before(a.until) {
			a.refill(now, key, k, n)
		}
	}
	if wanted > 0 {
		a.lookAt(now, now.Add(lookEvery))
	}
}

// refill opens as many legs of a kind as are missing of n.
func (a *ahead) refill(now time.Time, key legKey, k *kind, n int) {
	begin, flow, ok := a.session.begin(k.choice)
	if !ok {
		return
	}
	closed, alone := false, len(begin) > 0 && begin[0].Alone
	have := a.session.idle.count(key, func(l *Leg) bool {
		if now.Sub(l.idleSince) >= renewTime || !fits(l, begin) || !l.alone.keeps() && alone {
			return false
		}
		still := quiet(l.Conn)
		closed = closed || !still && l.unused
		return still
	})
	if closed { // by a concentrator that has no place for it
		a.backOff(now)
		return
	}
	room := a.session.cfg.IdleLegs - a.session.idle.len() - a.opening
	for range min(n-have-k.opening, room) {
		k.opening++
		a.opening++
		a.openers.Go(func() { a.open(key, k, flow, begin) })
	}
}

// open opens one leg. It is a goroutine of its own.
func (a *ahead) open(key legKey, k *kind, flow *proxy.Flow, begin []Candidate) {
	l, err := a.session.openAhead(a.ctx, key, flow, begin)
	a.mu.Lock()
	defer a.mu.Unlock()
	k.opening--
	a.opening--
	switch {
	case err == nil:
		a.pause = 0
		a.session.idle.put(l)
	case a.ctx.Err() == nil:
		a.backOff(time.Now())
		a.session.log.Debug("no leg could be opened ahead of flows", "error", err)
	}
}

func (a *ahead) backOff(now time.Time) {
	if now.Before(a.until) {
		return // the others of the same look
	}
	a.pause = min(max(aheadPause, 2*a.pause), aheadPauseMost)
	a.until = now.Add(a.pause)
}

// close ends what opens legs, and waits for it.
func (a *ahead) close() {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.mu.Unlock()
	a.cancel()
	a.openers.Wait()
}

// begin returns the ways on which a new flow would begin, and what a leg that is opened
// ahead of it may use: nothing metered that stands by. ok is false where that cannot be had.
// No way, and ok, leaves it to the kernel's routing.
func (s *Session) begin(c proxy.Choice) (begin []Candidate, flow *proxy.Flow, ok bool) {
	cands, err := s.cfg.Paths.Order(c)
	if err != nil || len(cands) > 0 && !cands[0].Fit {
		return nil, nil, false
	}
	kernels := s.cfg.LeaveSubflows != nil && s.cfg.LeaveSubflows()
	spared := func(a Candidate) bool { return a.Metered && !cands[0].Metered }
	flow = &proxy.Flow{How: c}
	if slices.ContainsFunc(cands, spared) {
		if kernels {
			return nil, nil, false // the kernel would make a subflow on each path
		}
		flow.How.Paths = nil
		for _, a := range cands {
			if !spared(a) && !slices.Contains(flow.How.Paths, a.Path) {
				flow.How.Paths = append(flow.How.Paths, a.Path)
			}
		}
	}
	begin = slices.DeleteFunc(slices.Clone(cands), func(a Candidate) bool { return !a.Fit || spared(a) })
	several := slices.ContainsFunc(begin, func(a Candidate) bool { return a.Path != begin[0].Path })
	for i := range begin {
		begin[i].Alone = several && !kernels
	}
	return begin, flow, true
}

// errLateRequests: the concentrator does not let a leg wait for its first request.
var errLateRequests = errors.New("the concentrator takes no late requests any more")

// openAhead opens a leg that waits for its first flow.
func (s *Session) openAhead(ctx context.Context, key legKey, f *proxy.Flow, begin []Candidate) (*Leg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	cred := s.credentials(f.How.Mode)
	return s.converse(ctx, f, begin, cred.Greeting(), func(l *Leg) error {
		agreed, err := cred.ReadGreeting(l.below)
		if err != nil {
			return err
		}
		s.answered(l)
		if s.ahead.able.Store(agreed.Ready); !agreed.Ready || l.plain {
			return errLateRequests
		}
		l.key, l.ready, l.unused = key, true, true
		l.framed = relay.NewFramed(l.below)
		l.Stream = l.framed
		return nil
	})
}
