package destination

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mpproxy/internal/hostaddr"
)

// Surroundings learns what Rules have to know about the host. Create it with
// NewSurroundings. It is safe for concurrent use.
type Surroundings struct {
	resolver *net.Resolver
	public   string // address or name by which clients know the concentrator; may be empty
	own      hostaddr.Cache

	mu      sync.Mutex
	answers answers
	asked   time.Time
	asking  chan struct{} // is closed when the answers to the questions under way are there
}

// answers are what name servers said.
type answers struct {
	public []netip.Prefix
	nat64  []netip.Prefix
}

const (
	// askAgain is how old an answer may get. A network that changes its prefix of NAT64
	// keeps the old one for longer than this.
	askAgain = 10 * time.Minute
	// askTimeout bounds a round of questions, and how long the first destinations wait
	// for it.
	askTimeout = 2 * time.Second
)

// NewSurroundings returns the surroundings of this host. public is the address or the name
// by which clients know the concentrator, or empty: behind a NAT, no interface has that
// address. A nil resolver is the system's.
func NewSurroundings(resolver *net.Resolver, public string) *Surroundings {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &Surroundings{resolver: resolver, public: public}
}

// Known returns what is known now. The first callers wait for the name servers' answers,
// two seconds at most. An answer that fails to come again leaves the one before.
func (s *Surroundings) Known(ctx context.Context) (Known, error) {
	networks, err := s.own.Networks()
	if err != nil {
		return Known{}, err
	}
	a := s.ask(ctx)
	return Known{Own: slices.Concat(a.public, networks), NAT64: a.nat64}, nil
}

// ask returns the newest answers, and asks anew when they are old.
func (s *Surroundings) ask(ctx context.Context) answers {
	s.mu.Lock()
	first := s.asked.IsZero()
	if first || s.asking == nil && time.Since(s.asked) > askAgain {
		s.asked, s.asking = time.Now(), make(chan struct{})
		go s.lookup(s.answers)
	}
	asking, a := s.asking, s.answers
	s.mu.Unlock()
	if asking == nil || a.public != nil {
		return a
	}
	select {
	case <-asking:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers
}

// lookup asks the name servers.
func (s *Surroundings) lookup(last answers) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	a := answers{public: []netip.Prefix{}, nat64: last.nat64}
	synthesized, err := s.resolver.LookupNetIP(ctx, "ip6", discoveryName)
	if err == nil {
		a.nat64 = prefixesOf(synthesized)
	}
	addrs, err := s.publicAddrs(ctx)
	if err != nil && last.public != nil {
		a.public = last.public
	}
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		a.public = append(a.public, netip.PrefixFrom(addr, addr.BitLen()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = a
	close(s.asking)
	s.asking = nil
}

func (s *Surroundings) publicAddrs(ctx context.Context) ([]netip.Addr, error) {
	if s.public == "" {
		return nil, nil
	}
	if a, err := netip.ParseAddr(s.public); err == nil {
		return []netip.Addr{a}, nil
	}
	return s.resolver.LookupNetIP(ctx, "ip", s.public)
}
