package proxy_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"mpproxy/proxy"
	"mpproxy/proxy/front"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
)

type fixedPaths []leg.Candidate

func (p fixedPaths) Candidates() []leg.Candidate { return p }

// byPort chooses by the destination's port and notes what it was asked.
type byPort struct {
	port     uint16
	choice   proxy.Choice
	listener chan netip.AddrPort
}

func (b byPort) Choose(f *proxy.Flow, listener netip.AddrPort) proxy.Choice {
	b.listener <- listener
	if f.To.Port == b.port {
		return b.choice
	}
	return proxy.Choice{Mode: f.Who.Mode}
}

// TestFrontChooses: what the chooser says reaches the table and the leg, and a
// rule without a path fails its connections without blaming the concentrator.
func TestFrontChooses(t *testing.T) {
	dest := StartDestination(t, Hold)
	_, at := startConcentrator(t, nil)
	seen := make(chan string, 1)
	up := upstreamTo(at.Addr, func(c *leg.Config) {
		c.Paths = leg.NewRanking(fixedPaths{{Path: "wifi"}}, nil, nil)
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
		reply proxy.Outcome
	}{
		{"a path that is up", "wifi", proxy.Succeeded},
		{"one that is not", "lte", proxy.NetworkUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chooser.choice = proxy.Choice{Mode: "calls", Paths: []string{tt.path}, Rule: "voip"}
			front, f := startFront(t, up, func(c *front.Config) { c.Rules = chooser })
			app := DialPlain(t, f.Addr)
			if got := Ask(t, app, ConnectAddr(dest)); got != tt.reply {
				t.Fatalf("reply %v, want %v", got, tt.reply)
			}
			if l := <-chooser.listener; l != f.Addr {
				t.Errorf("asked for the listener %v, want %v", l, f.Addr)
			}
			if tt.reply != proxy.Succeeded {
				if h := up.Health(); h.State != leg.ServerOK {
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
	up := upstreamTo(V4, func(c *leg.Config) { c.Paths = leg.NewRanking(fixedPaths{{Path: "wifi"}}, nil, nil) })
	_, err := up.OpenStream(context.Background(), &proxy.Flow{To: To(V4), How: proxy.Choice{Paths: []string{"lte"}, Rule: "rule 3"}})
	if !errors.Is(err, leg.ErrNoPath) || err.Error() != leg.ErrNoPath.Error()+": rule 3 allows lte" {
		t.Error(err)
	}
	if h := up.Health(); h.State != leg.ServerUnknown {
		t.Errorf("the concentrator is %s", h.State)
	}
}
