package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/mptcpsock"
)

// A first subflow can start on any path, and the best-ranked one may be dead
// although it is up. So the ways are raced, each a little later than the one
// before it (RFC 8305 §5 for addresses, here for paths too).
const (
	raceDelay        = 250 * time.Millisecond
	raceDelayMetered = time.Second // a metered path is worth waiting longer for the other
	// avoidTime is how long a path that did not lead to the concentrator is
	// tried after the others.
	avoidTime = 30 * time.Second
	// nameTTL is how long a resolved concentrator name is used; a stale answer
	// is kept as long as the name cannot be resolved again.
	nameTTL = time.Minute
)

// attempt is one connect of a race.
type attempt struct {
	Candidate
	to netip.AddrPort
}

// plan orders the attempts: by rank, paths that failed lately last, and for
// each path the addresses that its source address can reach. Without any path
// the kernel's routing decides.
func plan(cands []Candidate, addrs []netip.Addr, port uint16, avoided func(path string) bool) []attempt {
	if len(cands) == 0 {
		cands = []Candidate{{Path: "default route"}}
	}
	var good, bad []attempt
	for _, c := range cands {
		for _, a := range addrs {
			if c.Source.IsValid() && c.Source.Is4() != a.Is4() {
				continue
			}
			at := attempt{c, netip.AddrPortFrom(a, port)}
			if avoided(c.Path) {
				bad = append(bad, at)
			} else {
				good = append(good, at)
			}
		}
	}
	return append(good, bad...)
}

type outcome struct {
	attempt
	conn *mptcpsock.Conn
	err  error
}

// connect reaches the concentrator over the first way that answers and says
// over which path.
func (u *Upstream) connect(ctx context.Context) (*mptcpsock.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.ConnectTimeout)
	defer cancel()
	addrs, err := u.names.lookup(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	var cands []Candidate
	if u.cfg.Paths != nil {
		cands = u.cfg.Paths.Candidates()
	}
	attempts := plan(cands, addrs, u.cfg.Port, u.avoided)
	if len(attempts) == 0 {
		return nil, "", fmt.Errorf("%w: no path has an address of the family of %v", ErrUnreachable, addrs)
	}
	return u.race(ctx, attempts)
}

func (u *Upstream) race(ctx context.Context, attempts []attempt) (*mptcpsock.Conn, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan outcome, len(attempts)) // room for all: no loser blocks
	var failed unreachableError
	next, running := 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next < len(attempts) || running > 0 {
		select {
		case <-timer.C:
			if next == len(attempts) {
				continue
			}
			go u.try(ctx, attempts[next], results)
			running++
			if next++; next < len(attempts) {
				timer.Reset(stagger(attempts[next]))
			}
		case r := <-results:
			running--
			if r.err == nil {
				cancel()
				go discard(results, running)
				u.forgive(r.Path)
				return r.conn, r.Path, nil
			}
			if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
				u.blame(r.Path)
			}
			failed = append(failed, r)
			if next < len(attempts) {
				timer.Reset(0) // no reason to wait for the next one
			}
		}
	}
	return nil, "", failed
}

// unreachableError lists every way that was tried. It is ErrUnreachable.
type unreachableError []outcome

func (e unreachableError) Error() string {
	tried := make([]string, len(e))
	for i, o := range e {
		tried[i] = fmt.Sprintf("%s over %s: %v", o.to, o.Path, o.err)
	}
	return fmt.Sprintf("%v: %s", ErrUnreachable, strings.Join(tried, "; "))
}

func (e unreachableError) Unwrap() error { return ErrUnreachable }

func stagger(a attempt) time.Duration {
	if a.Metered {
		return raceDelayMetered
	}
	return raceDelay
}

func (u *Upstream) try(ctx context.Context, a attempt, results chan<- outcome) {
	d := mptcpsock.Dialer{LocalAddr: a.Source, Interface: a.Interface, ReceiveBuffer: u.cfg.ReceiveBuffer}
	conn, err := d.Dial(ctx, a.to)
	results <- outcome{a, conn, err}
}

// discard closes the connections of attempts that came second.
func discard(results <-chan outcome, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

func (u *Upstream) avoided(path string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.avoid[path])
}

func (u *Upstream) blame(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.avoid[path] = time.Now().Add(avoidTime)
}

func (u *Upstream) forgive(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.avoid, path)
}

// nameCache resolves the concentrator's name, so that not every connection
// asks the resolver, and an unreachable resolver does not stop those that
// could be opened.
type nameCache struct {
	host     string
	resolver *net.Resolver

	mu    sync.Mutex
	addrs []netip.Addr
	until time.Time
}

func (n *nameCache) lookup(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(n.host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	n.mu.Lock()
	addrs, fresh := n.addrs, time.Now().Before(n.until)
	n.mu.Unlock()
	if fresh {
		return addrs, nil
	}
	r := n.resolver
	if r == nil {
		r = net.DefaultResolver
	}
	found, err := r.LookupNetIP(ctx, "ip", n.host)
	if err != nil || len(found) == 0 {
		if len(addrs) > 0 {
			return addrs, nil
		}
		return nil, fmt.Errorf("resolving %s: %w", n.host, err)
	}
	found = slices.Clone(found)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	n.mu.Lock()
	n.addrs, n.until = found, time.Now().Add(nameTTL)
	n.mu.Unlock()
	return found, nil
}
