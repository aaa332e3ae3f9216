package leg

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/proxy"
	. "mpproxy/proxy/proxytest"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock"
)

func TestPlan(t *testing.T) {
	wifi := Candidate{Path: "wifi", Source: netip.MustParseAddr("198.51.100.2")}
	wifi6 := Candidate{Path: "wifi", Source: netip.MustParseAddr("2001:db8:1::2")}
	lte := Candidate{Path: "lte", Source: netip.MustParseAddr("203.0.113.2"), Metered: true}
	dev := Candidate{Path: "dsl", Interface: "ppp0"}
	both := Addrs("192.0.2.1", "2001:db8::1")
	for _, tt := range []struct {
		name    string
		cands   []Candidate
		addrs   []netip.Addr
		avoided string
		want    []string
	}{
		{name: "no paths", addrs: both, want: []string{"default route to 192.0.2.1", "default route to 2001:db8::1"}},
		{name: "no addresses", cands: []Candidate{wifi}},
		{name: "family match", cands: []Candidate{wifi, wifi6, lte}, addrs: both, want: []string{"wifi to 192.0.2.1", "wifi to 2001:db8::1", "lte to 192.0.2.1"}},
		{name: "no match", cands: []Candidate{wifi, lte}, addrs: both[1:]},
		{name: "any source", cands: []Candidate{dev}, addrs: both, want: []string{"dsl to 192.0.2.1", "dsl to 2001:db8::1"}},
		{name: "avoided path last", cands: []Candidate{wifi, lte, dev}, addrs: both[:1], avoided: "wifi", want: []string{"lte to 192.0.2.1", "dsl to 192.0.2.1", "wifi to 192.0.2.1"}},
		{name: "avoided address last", cands: []Candidate{dev, lte}, addrs: both, avoided: "dsl to 192.0.2.1", want: []string{"dsl to 2001:db8::1", "lte to 192.0.2.1", "dsl to 192.0.2.1"}},
		{name: "all avoided", cands: []Candidate{wifi, lte}, addrs: both[:1], avoided: "to", want: []string{"wifi to 192.0.2.1", "lte to 192.0.2.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			avoided := func(path string, to netip.Addr) bool {
				return tt.avoided != "" && strings.Contains(path+" to "+to.String(), tt.avoided)
			}
			var got []string
			for _, a := range plan(tt.cands, tt.addrs, 443, avoided) {
				got = append(got, a.Path+" to "+a.to.Addr().String())
				if a.to.Port() != 443 {
					t.Errorf("port %d", a.to.Port())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStagger(t *testing.T) {
	p, m, u := stagger(attempt{}), stagger(attempt{Candidate: Candidate{Metered: true}}), stagger(attempt{Candidate: Candidate{Unmeasured: true}})
	if p != raceDelay || m != raceDelayMetered || m <= p || u != raceDelayUnknown || u >= p {
		t.Errorf("plain %v, metered %v, unknown %v", p, m, u)
	}
}

// listenMPTCP listens and drops what it accepts when the test is over.
func listenMPTCP(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := new(mptcpsock.ListenConfig).Listen(t.Context(), AnyPort)
	Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr()
}

// told is a Paths that keeps what it is told: path and result.
type told struct {
	*Ranking
	mu  sync.Mutex
	all []string
}

func (p *told) Report(path string, to netip.Addr, r Result) {
	p.Ranking.Report(path, to, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, path+" "+r.String())
}

func (p *told) reports() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

func racer() (*Session, *told) {
	p := &told{Ranking: NewRanking(nil, nil, &lastMet{met: make(map[string]Result)})}
	return sessionTo(V4, func(c *Config) { c.Paths = p }), p
}

// lastMet is a Memory that leaves a way alone when the last leg there met anything bad.
type lastMet struct {
	mu  sync.Mutex
	met map[string]Result
}

func (m *lastMet) LeftAlone(path string, to netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.met[path+" "+to.String()]
	return known && r != Connected && r != Fine
}

func (m *lastMet) Report(path string, to netip.Addr, r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.met[path+" "+to.String()] = r
}

func tryOver(path string, to netip.AddrPort) attempt {
	return attempt{Candidate: Candidate{Path: path}, to: to}
}

func (p *told) avoids(a attempt) bool { return p.LeftAlone(a.Path, a.to.Addr()) }

func TestRaceSilentFirst(t *testing.T) {
	u, p := racer()
	dead, live := tryOver("dead", DeadPort(t, "127.0.0.1")), tryOver("live", listenMPTCP(t))
	leg, err := u.race(Within(t), nil, []attempt{dead, live}, nil)
	Must(t, err)
	defer leg.abandon()
	if leg.Path != "live" || leg.Conn.RemoteAddrPort() != live.to {
		t.Errorf("came over %s to %v", leg.Path, leg.Conn.RemoteAddrPort())
	}
	if diff := cmp.Diff([]string{"live connected", "dead overtaken"}, p.reports()); diff != "" || !p.avoids(dead) || p.avoids(live) {
		t.Errorf("dead avoided: %v, live avoided: %v; reports (-want +got):\n%s", p.avoids(dead), p.avoids(live), diff)
	}
}

func TestRaceRefusedFirst(t *testing.T) {
	u, p := racer()
	dead, live := tryOver("dead", UnusedPort(t)), tryOver("live", listenMPTCP(t))
	p.Report(live.Path, live.to.Addr(), Refused) // success is forgiven
	live.Metered = true
	leg, err := u.race(Within(t), nil, []attempt{dead, live, tryOver("never", DeadPort(t, "127.0.0.1"))}, nil)
	Must(t, err)
	defer leg.abandon()
	if leg.Path != "live" || !p.avoids(dead) || p.avoids(live) {
		t.Errorf("came over %s; reports: %v", leg.Path, p.reports())
	}
}

func TestRaceNobody(t *testing.T) {
	u, _ := racer()
	a, b := tryOver("a", UnusedPort(t)), tryOver("b", UnusedPort(t))
	_, err := u.race(Within(t), nil, []attempt{a, b}, nil)
	if !errors.Is(err, ErrUnreachable) || proxy.OutcomeOf(err) != proxy.NetworkUnreachable {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{a.to.String() + " over a", b.to.String() + " over b", "refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
}

// TestRaceEnds checks that a race is over with its context, and that only a
// deadline says something about the ways.
func TestRaceEnds(t *testing.T) {
	at := DeadPort(t, "127.0.0.1")
	for _, tt := range []struct {
		name    string
		ctx     func() (context.Context, context.CancelFunc)
		reports []string
	}{
		{"cancelled", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		}, nil},
		{"out of time", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 10*time.Millisecond)
		}, []string{"first silent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := tt.ctx()
			defer cancel()
			u, p := racer()
			first, second := tryOver("first", at), tryOver("second", at)
			second.Metered = true
			_, err := u.race(ctx, nil, []attempt{first, second}, nil)
			if !errors.Is(err, ErrUnreachable) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tt.reports, p.reports()); diff != "" || p.avoids(first) != (tt.reports != nil) || p.avoids(second) {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNameCache checks that a name that has been resolved once stays usable when
// the resolver fails or does not answer, and that it is resolved again.
func TestNameCache(t *testing.T) {
	answers := map[string][]netip.Addr{"c.test.": Addrs("192.0.2.1", "2001:db8::1")}
	working := StartNameServer(t, answers)
	var asked, down atomic.Int32
	again := make(chan struct{}, 100)
	n := &nameCache{host: "c.test", resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		asked.Add(1)
		if down.Load() == 0 {
			return working.Dial(ctx, network, addr)
		}
		again <- struct{}{}
		return nil, errors.New("the resolver is away")
	}}}
	want := Addrs("192.0.2.1", "2001:db8::1")
	look := func() []netip.Addr {
		t.Helper()
		got, err := n.lookup(Within(t))
		Must(t, err)
		return got
	}
	expire := func() {
		n.mu.Lock()
		n.until = time.Now().Add(-time.Second)
		n.mu.Unlock()
	}
	byValue := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if got := look(); len(got) != 2 {
		t.Fatalf("got %v, want %v", got, want)
	}
	first := asked.Load()
	if diff := cmp.Diff(look(), n.addrs, byValue); diff != "" || asked.Load() != first {
		t.Errorf("not cached: asked %d times more, %s", asked.Load()-first, diff)
	}
	down.Store(1)
	expire()
	if got := look(); len(got) != 2 {
		t.Errorf("stale: got %v, want %v", got, want)
	}
	Await(t, "the name is resolved again", again)
	look() // does not start another one
	down.Store(0)
	Eventually(t, "a fresh answer", func() bool {
		n.refresh() // the one that failed may be under way still, and be shared
		n.mu.Lock()
		defer n.mu.Unlock()
		return time.Until(n.until) > refreshTimeout+refreshPause
	})
}

// TestNameAnew: a race that finds nobody has the name resolved anew before its time, and
// races that do so at the same time share an answer.
func TestNameAnew(t *testing.T) {
	answers := map[string][]netip.Addr{"c.test.": Addrs("192.0.2.1")}
	working := StartNameServer(t, answers)
	var asked atomic.Int32
	n := &nameCache{host: "c.test", resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		asked.Add(1)
		return working.Dial(ctx, network, addr)
	}}}
	_, err := n.lookup(Within(t))
	Must(t, err)
	first := asked.Load()
	for range 3 {
		_, err := n.anew(Within(t))
		Must(t, err)
	}
	if more := asked.Load() - first; more != 0 {
		t.Errorf("asked %d times more right after an answer", more)
	}
	n.mu.Lock()
	n.until = n.until.Add(-refreshPause)
	n.mu.Unlock()
	for range 3 {
		_, err := n.anew(Within(t))
		Must(t, err)
	}
	if more := asked.Load() - first; more != first {
		t.Errorf("asked %d times more after a pause, want %d", more, first)
	}
}

func TestNameCacheFails(t *testing.T) {
	u := sessionTo(netip.AddrPortFrom(V4.Addr(), 443), func(c *Config) {
		c.Host, c.Resolver = "nosuch.test", StartNameServer(t, nil)
	})
	err := u.Check(Within(t), "")
	var dns *net.DNSError
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, &dns) || !strings.Contains(err.Error(), "nosuch.test") {
		t.Errorf("got %v", err)
	}
}

// TestOwnAddressesUnbound: a concentrator on this host is reached over lo, whatever
// the path.
func TestOwnAddressesUnbound(t *testing.T) {
	u := New(Config{})
	for to, want := range map[string]string{"127.0.0.1": "", "::1": "", "203.0.113.1": "dsl0"} {
		a := attempt{Candidate: Candidate{Interface: "dsl0"}, to: netip.AddrPortFrom(netip.MustParseAddr(to), 443)}
		if got := u.freeLocal([]attempt{a})[0].Interface; got != want {
			t.Errorf("to %s: bound to %q, want %q", to, got, want)
		}
	}
}
