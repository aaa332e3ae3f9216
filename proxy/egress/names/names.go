// Package names looks up the names of destinations, as a concentrator needs it: each family
// of addresses by itself, so that a lost answer about one does not hold up the other, and
// with a cache, because the next connection mostly asks for the same name.
//
//	r := names.New(nil)
//	addrs, err := r.Lookup(ctx, "www.example.com", names.IPv6)
//
// A name is taken as fully qualified: search domains of the host are no matter of those who
// use the concentrator. The hosts file counts.
package names

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Family is a kind of addresses.
type Family string

// The families, as net.Resolver calls them.
const (
	IPv4 Family = "ip4"
	IPv6 Family = "ip6"
)

const (
	// mostEntries bounds the cache, mostAddrs what is kept of one answer.
	mostEntries = 4096
	mostAddrs   = 16
	// An answer is used for its TTL and this long at most. A failure is used for as long as
	// the zone says (RFC 2308 §5).
	longest        = time.Hour
	longestFailure = 5 * time.Minute
	// unknownTTL is for answers that have none: of the hosts file, or of servers that said
	// nothing at all, so that a server which is down is not asked for each connection.
	unknownTTL = 5 * time.Second
	// timeout bounds a lookup for which somebody waits.
	timeout = 20 * time.Second
)

// Resolver looks names up. Create it with New; it is safe for concurrent use.
type Resolver struct {
	dns *net.Resolver
	now func() time.Time

	mu      sync.Mutex
	answers map[question]*answer
}

type question struct {
	name string // in lower case, with a dot at its end
	of   Family
}

// answer is one that is there, or is waited for.
type answer struct {
	done   chan struct{} // closed when what follows is valid
	addrs  []netip.Addr
	err    error
	until  time.Time
	cancel context.CancelFunc
	wanted int // who wait for it; guarded by Resolver.mu
}

// New returns a Resolver that asks as r does; nil stands for the system's name servers.
func New(r *net.Resolver) *Resolver {
	if r == nil {
		r = net.DefaultResolver
	}
	return &Resolver{dns: r, now: time.Now, answers: map[question]*answer{}}
}

// Lookup returns the addresses that a name has in a family, the preferred one first. The
// caller must not change them. Errors are *net.DNSError, or ctx's.
func (r *Resolver) Lookup(ctx context.Context, name string, of Family) ([]netip.Addr, error) {
	name = strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	if name == "localhost." || strings.HasSuffix(name, ".localhost.") {
		return []netip.Addr{loopback[of]}, nil
	}
	q := question{name, of}
	if name == "." {
		return nil, notFound(q)
	}
	a := r.ask(q)
	defer r.leave(q, a)
	select {
	case <-a.done:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loopback is what names below localhost mean (RFC 6761 §6.3).
var loopback = map[Family]netip.Addr{IPv4: netip.AddrFrom4([4]byte{127, 0, 0, 1}), IPv6: netip.IPv6Loopback()}

// ask returns the answer to a question, and asks if there is none that holds.
func (r *Resolver) ask(q question) *answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, found := r.answers[q]
	if found && (!a.is() || r.now().Before(a.until)) {
		a.wanted++
		return a
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	a = &answer{done: make(chan struct{}), cancel: cancel, wanted: 1}
	r.makeRoom()
	r.answers[q] = a
	go r.lookup(ctx, q, a)
	return a
}

// is reports whether the answer is there.
func (a *answer) is() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// leave ends a lookup for which nobody waits any more.
func (r *Resolver) leave(q question, a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.wanted--; a.wanted > 0 || a.is() {
		return
	}
	a.cancel()
	if r.answers[q] == a {
		delete(r.answers, q)
	}
}

// lookup asks, and notes the answer.
func (r *Resolver) lookup(ctx context.Context, q question, a *answer) {
	defer a.cancel()
	ttl := new(meter)
	addrs, err := metered(r.dns, ttl).LookupNetIP(ctx, string(q.of), q.name)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	if err == nil && len(addrs) == 0 {
		err = notFound(q)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a.addrs, a.err = addrs[:min(len(addrs), mostAddrs)], explain(err, q)
	a.until = r.now().Add(ttl.of(err != nil))
	close(a.done)
}

// makeRoom takes answers out that hold no more, or else any. r.mu is held.
func (r *Resolver) makeRoom() {
	if len(r.answers) < mostEntries {
		return
	}
	now := r.now()
	for q, a := range r.answers {
		if a.is() && !now.Before(a.until) {
			delete(r.answers, q)
		}
	}
	for q := range r.answers {
		if len(r.answers) < mostEntries {
			return
		}
		delete(r.answers, q) // who wait for it have it
	}
}
