package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// DefaultMTU is the MTU of an interface when Config.MTU is zero, in bytes.
const DefaultMTU = 1500

// ErrClosed is returned by every method of a link after Close.
var ErrClosed = errors.New("link: closed")

// ErrNotShapeable is returned when a plain veth pair is asked to be more than that.
var ErrNotShapeable = errors.New("link: a plain veth pair has no rate, delay, loss or blackhole: use another kind")

// ErrNoBranches is returned when a kind of link cannot have branches.
var ErrNoBranches = errors.New("link: only links of kind tap and packet have branches")

// Namespace is a network namespace in which a link may have an end.
type Namespace interface {
	// Do runs fn on a thread that is in the namespace, and waits for it.
	Do(ctx context.Context, fn func() error) error
	// NetNS is a descriptor of the namespace, owned by the Namespace.
	NetNS() int
}

// End is one end of a link: an interface that New makes in a namespace.
type End struct {
	NS   Namespace
	Name string // 1 to 15 bytes
}

// Config describes a link.
type Config struct {
	A, B       End
	AtoB, BtoA Params
	// Branches, when there are any, make the link several with a router at each
	// end that spreads flows over them: a hash of addresses and ports, other
	// than that of the other end, chooses the branch of each frame (ECMP). They
	// hold for both directions and stay as they are; AtoB and BtoA mean nothing
	// then. TAP and Packet have them.
	Branches []Params
	Kind     Kind
	MTU      int    // bytes, 0 is DefaultMTU; 1280 at least for IPv6
	Seed     uint64 // of loss and jitter (TAP and Packet); any value, same sequence each time
}

// backend is what the kinds of links differ in.
type backend interface {
	set(d Direction, o orders) error
	setCarrier(up bool) error
	counters(d Direction) (Counters, error)
	close()
}

// Link is a link at work. Its methods may be called from any goroutine.
type Link struct {
	kind Kind

	mu        sync.Mutex
	backend   backend // nil after Close
	params    [2]Params
	blackhole [2]bool
	noCarrier bool
}

// New makes the two interfaces, without addresses, and brings them up. The
// context bounds the set-up, not the life of the link.
func New(ctx context.Context, c Config) (*Link, error) {
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	err := errors.Join(c.AtoB.Validate(), c.BtoA.Validate())
	for _, b := range c.Branches {
		err = errors.Join(err, b.Validate())
	}
	if err != nil {
		return nil, err
	}
	kind, err := choose(ctx, &c)
	if err != nil {
		return nil, err
	}
	b, err := newBackend(ctx, c, kind)
	if err == nil {
		if err = waitEnds(ctx, c); err != nil {
			b.close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (kind %v; %s overrides)", err, kind, EnvKind)
	}
	return &Link{kind: kind, backend: b, params: [2]Params{c.AtoB, c.BtoA}}, nil
}

func newBackend(ctx context.Context, c Config, kind Kind) (backend, error) {
	if len(c.Branches) > 0 && kind != TAP && kind != Packet {
		return nil, ErrNoBranches
	}
	switch kind {
	case TAP, Packet:
		return newEmulator(ctx, c, kind)
	case Netem:
		return newNetem(ctx, c)
	case Veth:
		return newVeth(ctx, c)
	}
	return nil, fmt.Errorf("link: %v is not a kind of link", kind)
}

// choose settles what Auto means here. MPPROXY_LINK=veth takes the limits away.
func choose(ctx context.Context, c *Config) (Kind, error) {
	if c.Kind != Auto {
		return c.Kind, nil
	}
	kind, err := kindFromEnvironment()
	switch {
	case err != nil:
		return Auto, err
	case len(c.Branches) > 0 && kind != Packet && tapWorks():
		return TAP, nil
	case len(c.Branches) > 0:
		return Packet, nil
	case kind == Veth:
		c.AtoB, c.BtoA = Params{}, Params{}
		return Veth, nil
	case kind != Auto:
		return kind, nil
	case c.AtoB.IsZero() && c.BtoA.IsZero():
		return Veth, nil
	case netemWorks(ctx, c.A.NS):
		return Netem, nil
	case tapWorks():
		return TAP, nil
	}
	return Packet, nil
}

// Kind says what carries the frames; never Auto.
func (l *Link) Kind() Kind { return l.kind }

// Params returns the properties of a direction.
func (l *Link) Params(d Direction) Params {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.params[d]
}

// Set changes the properties of a direction while traffic runs.
func (l *Link) Set(d Direction, p Params) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if l.kind == Veth && !p.IsZero() {
		return ErrNotShapeable
	}
	return l.change(func() { l.params[d] = p }, d)
}

// SetBlackhole makes the link lose every frame in both directions, those under
// way included, while both interfaces stay up: what a phone in a lift does.
func (l *Link) SetBlackhole(on bool) error {
	return errors.Join(l.SetBlackholeDirection(AtoB, on), l.SetBlackholeDirection(BtoA, on))
}

// SetBlackholeDirection is SetBlackhole for one direction.
func (l *Link) SetBlackholeDirection(d Direction, on bool) error {
	if l.kind == Veth && on {
		return ErrNotShapeable
	}
	return l.change(func() { l.blackhole[d] = on }, d)
}

// SetCarrier pulls the plug (false) or puts it back: the interfaces report no
// carrier. With Netem and Veth that is so for end A only; end B is set down.
func (l *Link) SetCarrier(up bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend == nil {
		return ErrClosed
	}
	l.noCarrier = !up
	return errors.Join(l.backend.setCarrier(up), l.apply(AtoB), l.apply(BtoA))
}

func (l *Link) change(edit func(), d Direction) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend == nil {
		return ErrClosed
	}
	edit()
	return l.apply(d)
}

func (l *Link) apply(d Direction) error {
	return l.backend.set(d, orders{params: l.params[d], down: l.blackhole[d] || l.noCarrier})
}

// Counters returns what a direction has seen. After Close, and where the kernel
// cannot be asked, they are zero.
func (l *Link) Counters(d Direction) Counters {
	c, _ := l.ReadCounters(d)
	return c
}

// ReadCounters is Counters with the reason why a direction stands still, if it
// does: ErrClosed, or that an interface was deleted.
func (l *Link) ReadCounters(d Direction) (Counters, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend == nil {
		return Counters{}, ErrClosed
	}
	return l.backend.counters(d)
}

// Close removes both interfaces and waits for the goroutines of the link.
// Closing twice is fine.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend != nil {
		l.backend.close()
		l.backend = nil
	}
	return nil
}
