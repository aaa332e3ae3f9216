package proxy_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
)

// TestDeadDestinationIsItsOwnMatter: a destination that does not answer is waited for longer
// than the concentrator itself, and says nothing about that.
func TestDeadDestinationIsItsOwnMatter(t *testing.T) {
	dead := DeadPort(t, "127.0.0.1")
	onBoth(t, func(t *testing.T, l setup) {
		for _, tt := range []struct {
			name         string
			conc, client time.Duration // for the destination
		}{
			{"the concentrator answers", 1500 * time.Millisecond, Patience},
			{"the client's time is over first", Patience, 1500 * time.Millisecond},
		} {
			t.Run(tt.name, func(t *testing.T) {
				_, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.ConnectTimeout = tt.conc })
				up := upstreamTo(at.Addr, func(c *leg.Config) {
					l.up(c)
					c.ConnectTimeout, c.AnswerTimeout = time.Second, tt.client
				})
				for i := range 2 { // on a new leg, then on one that was kept
					if i == 1 && !keptIn(t, up, l) {
						break
					}
					_, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dead)})
					if proxy.OutcomeOf(err) != proxy.TTLExpired {
						t.Errorf("got %v (%v), want TTL expired", proxy.OutcomeOf(err), err)
					}
					if h := up.Health(); h.State != leg.ServerOK {
						t.Errorf("health %+v", h)
					}
				}
			})
		}
	})
}

// keptIn has a leg wait for the next stream, where legs are kept.
func keptIn(t *testing.T, up *leg.Session, l setup) bool {
	t.Helper()
	if !strings.HasSuffix(l.name, "kept") {
		return false
	}
	openAndKeep(t, up, &proxy.Flow{To: To(StartDestination(t, Echo))})
	return true
}

// slowAuth takes longer to know a user than a peer goes unwatched.
type slowAuth struct{ Auth }

func (a slowAuth) Authenticate(ctx context.Context, user, password string) (proxy.Identity, error) {
	time.Sleep(200 * time.Millisecond)
	return a.Auth.Authenticate(ctx, user, password)
}

// TestEndBeforeTheReply: an application that has nothing to say, and says so at once, gets
// what the destination has to say.
func TestEndBeforeTheReply(t *testing.T) {
	dest := StartDestination(t, func(c *net.TCPConn) {
		Hold(c) // until its end
		_, _ = io.WriteString(c, "news")
	})
	onBoth(t, func(t *testing.T, l setup) {
		_, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.Auth = slowAuth{Alice} })
		_, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		c := DialPlain(t, f.Addr)
		got := Exchange(t, c, string(Join(GreetNone(), ConnectAddr(dest))))
		if !strings.HasPrefix(got, "\x05\x00\x05\x00") || !strings.HasSuffix(got, "news") {
			t.Errorf("got %q", got)
		}
	})
	// The same on a plain leg, where any SOCKS client may be.
	_, at := startConcentrator(t, func(c *egress.Config) { c.Resolver = StartNameServer(t, nil) })
	c := DialPlain(t, at.Addr)
	if got := Exchange(t, c, string(Join(GreetUser("alice", "token"), ConnectAddr(dest)))); !strings.HasSuffix(got, "news") {
		t.Errorf("straight: got %q", got)
	}
}
