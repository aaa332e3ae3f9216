package proxy

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllowed(t *testing.T) {
	wifi, wifi6, lte, dsl := Candidate{Path: "wifi"}, Candidate{Path: "wifi", Interface: "six"}, Candidate{Path: "lte", Metered: true}, Candidate{Path: "dsl"}
	bad := func(c Candidate) Candidate { c.Troubled = true; return c }
	all := []Candidate{wifi, wifi6, dsl, lte}
	for _, tt := range []struct {
		name   string
		paths  []string
		cands  []Candidate
		want   []Candidate
		noPath bool
	}{
		{name: "no rule", cands: all, want: all},
		{name: "no rule, nothing is up"},
		{name: "no rule, trouble", cands: []Candidate{bad(wifi), bad(wifi6), dsl, lte}, want: []Candidate{dsl, lte, bad(wifi), bad(wifi6)}},
		{name: "one", paths: []string{"lte"}, cands: all, want: []Candidate{lte}},
		{name: "order of the rule", paths: []string{"lte", "wifi"}, cands: all, want: []Candidate{lte, wifi, wifi6}},
		{name: "one of them is not there", paths: []string{"sat", "dsl"}, cands: all, want: []Candidate{dsl}},
		{name: "trouble", paths: []string{"wifi", "dsl"}, cands: []Candidate{bad(wifi), lte, dsl}, want: []Candidate{dsl, bad(wifi)}},
		{name: "only a path in trouble", paths: []string{"wifi"}, cands: []Candidate{bad(wifi), dsl}, want: []Candidate{bad(wifi)}},
		{name: "none is there", paths: []string{"sat"}, cands: all, noPath: true},
		{name: "nothing is up", paths: []string{"sat"}, noPath: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Choice{Paths: tt.paths, Rule: "rule 1"}.allowed(tt.cands)
			if errors.Is(err, ErrNoPath) != tt.noPath || !tt.noPath && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b Candidate) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type fixedPaths []Candidate

func (p fixedPaths) Candidates() []Candidate { return p }

// byPort chooses by the destination's port and notes what it was asked.
type byPort struct {
	port     uint16
	choice   Choice
	listener chan netip.AddrPort
}

func (b byPort) Choose(to Destination, listener netip.AddrPort, who Identity) Choice {
	b.listener <- listener
	if to.Port == b.port {
		return b.choice
	}
	return Choice{Mode: who.Mode}
}

// TestFrontChooses: what the chooser says reaches the table and the leg, and a
// rule without a path fails its connections without blaming the concentrator.
func TestFrontChooses(t *testing.T) {
	dest := startDestination(t, hold)
	_, at := startConcentrator(t, nil)
	seen := make(chan string, 1)
	up := upstreamTo(at.addr, func(c *UpstreamConfig) {
		c.Paths = fixedPaths{{Path: "wifi"}}
		c.Credentials = func(mode string) (string, string) {
			select {
			case seen <- mode:
			default:
			}
			return "alice+interactive", "token"
		}
	})
	chooser := byPort{port: dest.Port(), listener: make(chan netip.AddrPort, 1)}
	for _, tt := range []struct {
		name  string
		path  string
		reply Reply
	}{
		{"a path that is up", "wifi", ReplySucceeded},
		{"one that is not", "lte", ReplyNetworkUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chooser.choice = Choice{Mode: "calls", Paths: []string{tt.path}, Rule: "voip"}
			front, f := startFront(t, up, func(c *FrontConfig) { c.Rules = chooser })
			app := dialPlain(t, f.addr)
			if got := ask(t, app, connectAddr(dest)); got != tt.reply {
				t.Fatalf("reply %v, want %v", got, tt.reply)
			}
			if l := <-chooser.listener; l != f.addr {
				t.Errorf("asked for the listener %v, want %v", l, f.addr)
			}
			if tt.reply != ReplySucceeded {
				if h := up.Health(); h.State != ServerOK {
					t.Errorf("the concentrator is %s", h.State)
				}
				return
			}
			if mode := <-seen; mode != "calls" {
				t.Errorf("the concentrator was asked for %q", mode)
			}
			conns := waitLive(t, front.Table(), 1)
			if conns[0].Mode != "calls" || conns[0].Rule != "voip" || conns[0].Path != "wifi" {
				t.Errorf("connections: %+v", conns)
			}
		})
	}
}

// Upstream.Open must not ask the resolver or the network when no path is allowed.
func TestOpenWithoutAllowedPath(t *testing.T) {
	up := upstreamTo(v4, func(c *UpstreamConfig) { c.Paths = fixedPaths{{Path: "wifi"}} })
	_, err := up.Open(context.Background(), Stream{Destination: to(v4), Choice: Choice{Paths: []string{"lte"}, Rule: "rule 3"}})
	if !errors.Is(err, ErrNoPath) || err.Error() != ErrNoPath.Error()+": rule 3 allows lte" {
		t.Error(err)
	}
	if h := up.Health(); h.State != ServerUnknown {
		t.Errorf("the concentrator is %s", h.State)
	}
}
