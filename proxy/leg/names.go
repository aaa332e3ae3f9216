package leg

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// nameTTL is how long a resolved concentrator name is used before it is
	// resolved again. Meanwhile, and for as long as that fails, the stale answer
	// is used.
	nameTTL = time.Minute
	// refreshTimeout bounds resolving it again, refreshPause comes between two
	// times.
	refreshTimeout = 10 * time.Second
	refreshPause   = 5 * time.Second
	// relookWait is how long all known addresses may be silent before a race has the
	// name resolved again: the concentrator may have moved.
	relookWait = time.Second
)

// nameCache resolves the concentrator's name, so that not every connection
// asks the resolver, and an unreachable resolver does not stop those that
// could be opened.
type nameCache struct {
	host     string
	resolver *net.Resolver

	mu    sync.Mutex
	addrs []netip.Addr
	until time.Time // when to resolve again

	again singleflight.Group
}

// literal reports whether the host is an address, which never changes.
func (n *nameCache) literal() bool {
	_, err := netip.ParseAddr(n.host)
	return err == nil
}

func (n *nameCache) lookup(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(n.host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	n.mu.Lock()
	addrs := n.addrs
	due := len(addrs) > 0 && time.Now().After(n.until)
	if due {
		n.until = time.Now().Add(refreshTimeout + refreshPause) // one at a time
	}
	n.mu.Unlock()
	if due {
		go n.refresh()
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return n.resolve(ctx)
}

// refresh resolves the name while connections go on with the stale answer: a
// resolver that does not answer must not hold them up. It ends by itself.
func (n *nameCache) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	_, _ = n.resolve(ctx) // failed: lookup tries again
}

// anew resolves the name although its answer is not old: nobody answers there. All who
// ask within refreshPause share one answer.
func (n *nameCache) anew(ctx context.Context) ([]netip.Addr, error) {
	n.mu.Lock()
	addrs, left := n.addrs, time.Until(n.until)
	n.mu.Unlock()
	if left > nameTTL-refreshPause {
		return addrs, nil
	}
	answer := n.again.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
		defer cancel()
		return n.resolve(ctx)
	})
	select {
	case a := <-answer:
		addrs, _ = a.Val.([]netip.Addr)
		return addrs, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *nameCache) resolve(ctx context.Context) ([]netip.Addr, error) {
	r := n.resolver
	if r == nil {
		r = net.DefaultResolver
	}
	found, err := r.LookupNetIP(ctx, "ip", n.host)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", n.host, err)
	}
	addrs := make([]netip.Addr, len(found))
	for i := range found {
		addrs[i] = found[i].Unmap()
	}
	n.mu.Lock()
	n.addrs, n.until = addrs, time.Now().Add(nameTTL)
	n.mu.Unlock()
	return addrs, nil
}
