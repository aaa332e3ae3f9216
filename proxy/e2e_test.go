package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/front"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

func TestOpen(t *testing.T) {
	dest := StartDestination(t, Echo)
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, l.up)
		for range 3 { // the second time on, TLS sessions are resumed
			got, err := up.OpenStream(Within(t), &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}})
			Must(t, err)
			if !got.Bound.Addr().IsLoopback() || got.Bound.Port() == 0 {
				t.Errorf("bound to %v", got.Bound)
			}
			Must(t, got.Conn.SetDeadline(time.Now().Add(Patience)))
			live := waitLive(t, conc.Table(), 1)
			if live[0].User != "alice" || live[0].Mode != "handover" || live[0].Destination != To(dest) || live[0].Peer != got.Conn.LocalAddrPort() {
				t.Errorf("table: %+v", live)
			}
			if tc, ok := got.Stream.(*tls.Conn); ok && tc.ConnectionState().Version != tls.VersionTLS13 {
				t.Errorf("TLS version %x", tc.ConnectionState().Version)
			}
			// Half-close: the answer comes after the end of the question.
			if answer := Exchange(t, got.Stream, "question"); answer != "question" {
				t.Errorf("answer %q", answer)
			}
			Must(t, got.Stream.Close())
			Eventually(t, "the connection has left the table", func() bool { return conc.Table().Len() == 0 })
		}
		if n := conc.Table().Totals.BytesAToB.Load(); n != 3*uint64(len("question")) {
			t.Errorf("%d bytes counted", n)
		}
		if h := up.Health(); h.State != leg.ServerOK {
			t.Errorf("health %+v", h)
		}
	})
}

func TestCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, l setup) {
		logged, log := NewLog()
		_, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.Log, c.DrainTimeout = log, Patience })
		up := upstreamTo(at.Addr, l.up)
		Must(t, up.Check(Within(t), ""))
		if h := up.Health(); h.State != leg.ServerOK || h.LastOK.IsZero() {
			t.Errorf("health %+v", h)
		}
		at.Stop()
		Await(t, "the end of Run", at.Done)
		if strings.Contains(logged.String(), "WARN") {
			t.Errorf("a check is no reason to warn:\n%s", logged)
		}
	})
}

func TestTokenRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.Addr, func(c *leg.Config) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "alice", "wrong" }
		})
		if err := up.Check(Within(t), ""); !errors.Is(err, socks.ErrTokenRefused) {
			t.Errorf("Check: %v", err)
		}
		if _, err := up.OpenStream(Within(t), &proxy.Flow{To: To(V4)}); !errors.Is(err, socks.ErrTokenRefused) {
			t.Errorf("Open: %v", err)
		}
		if h := up.Health(); h.State != leg.ServerTokenRefused || h.Advice == "" {
			t.Errorf("health %+v", h)
		}
		Eventually(t, "both failures are counted", func() bool { return conc.Table().Totals.AuthFailures.Load() == 2 })
	})
}

func TestUnreachable(t *testing.T) {
	up := upstreamTo(UnusedPort(t), nil)
	if err := up.Check(Within(t), ""); !errors.Is(err, leg.ErrUnreachable) {
		t.Errorf("Check: %v", err)
	}
	if _, err := up.OpenStream(Within(t), &proxy.Flow{To: To(V4)}); !errors.Is(err, leg.ErrUnreachable) || proxy.OutcomeOf(err) != proxy.NetworkUnreachable {
		t.Errorf("Open: %v", err)
	}
	if h := up.Health(); h.State != leg.ServerUnreachable {
		t.Errorf("health %+v", h)
	}
}

func TestWrongPin(t *testing.T) {
	cert, _ := NewKey(t)
	_, other := NewKey(t)
	_, at := startConcentrator(t, func(c *egress.Config) { c.TLS = leg.ServerTLS(cert) })
	up := upstreamTo(at.Addr, func(c *leg.Config) { c.TLS = leg.ClientTLS("concentrator", other) })
	if err := up.Check(Within(t), ""); !errors.Is(err, leg.ErrPinMismatch) || proxy.OutcomeOf(err) != proxy.GeneralFailure {
		t.Errorf("got %v", err)
	}
	if h := up.Health(); h.State != leg.ServerWrongPin {
		t.Errorf("health %+v", h)
	}
}

// TestResumptionChecksPin checks that a session of the right server is no pass
// for one with another key, under the same name, not even for one that can
// resume it.
func TestResumptionChecksPin(t *testing.T) {
	right, pin := NewKey(t)
	wrong, _ := NewKey(t)
	_, good := startConcentrator(t, func(c *egress.Config) { c.TLS = leg.ServerTLS(right) })
	_, bad := startConcentrator(t, func(c *egress.Config) { c.TLS = leg.ServerTLS(wrong) })
	client := leg.ClientTLS("concentrator", pin)
	using := func(c *leg.Config) { c.TLS = client }
	Must(t, upstreamTo(good.Addr, using).Check(Within(t), ""))
	Must(t, upstreamTo(good.Addr, using).Check(Within(t), ""))
	if err := upstreamTo(bad.Addr, using).Check(Within(t), ""); !errors.Is(err, leg.ErrPinMismatch) {
		t.Errorf("got %v", err)
	}
	Must(t, upstreamTo(good.Addr, using).Check(Within(t), ""))

	_, strange := NewKey(t)
	other := leg.ClientTLS("concentrator", strange)
	other.ClientSessionCache = client.ClientSessionCache
	if err := upstreamTo(good.Addr, func(c *leg.Config) { c.TLS = other }).Check(Within(t), ""); !errors.Is(err, leg.ErrPinMismatch) {
		t.Errorf("resumed with another pin: %v", err)
	}
}

// TestSecurityMismatch checks that one side with TLS and the other without is an
// error at once, not a wait for a timeout.
func TestSecurityMismatch(t *testing.T) {
	both := setups(t)
	for _, tt := range []struct {
		name string
		conc func(*egress.Config)
		up   func(*leg.Config)
		says string
	}{
		{"client TLS, server none", both[0].conc, both[1].up, "TLS"},
		{"client none, server TLS", both[1].conc, both[0].up, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, at := startConcentrator(t, tt.conc)
			up := upstreamTo(at.Addr, tt.up)
			err := up.Check(Within(t), "")
			if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			for _, other := range []error{leg.ErrUnreachable, leg.ErrPinMismatch, socks.ErrTokenRefused} {
				if errors.Is(err, other) {
					t.Errorf("%v is taken for %v", err, other)
				}
			}
			t.Log(err)
		})
	}
}

func TestRequireMPTCP(t *testing.T) {
	if err := mptcpsock.ProbeMPTCP(); err != nil {
		t.Skip("no MPTCP here: ", err)
	}
	plain := StartDestination(t, Hold) // whatever it is, it is no MPTCP
	fell := make(chan string, 1)
	up := upstreamTo(plain, func(c *leg.Config) {
		c.RequireMPTCP = true
		c.FellBack = func(path string) { fell <- path }
	})
	if err := up.Check(Within(t), ""); !errors.Is(err, leg.ErrNotMultipath) {
		t.Errorf("got %v", err)
	}
	if path := Await(t, "FellBack", fell); path != "default route" {
		t.Errorf("path %q", path)
	}
	if h := up.Health(); h.State != leg.ServerNoMPTCP || !h.Plain {
		t.Errorf("health %+v", h)
	}
	_, at := startConcentrator(t, nil)
	Must(t, upstreamTo(at.Addr, func(c *leg.Config) { c.RequireMPTCP = true }).Check(Within(t), ""))
}

func TestFallbackIsCounted(t *testing.T) {
	conc, at := startConcentrator(t, nil)
	dest := StartDestination(t, Hold)
	c := DialPlain(t, at.Addr)
	_, err := c.Write(Join(GreetUser("alice", "token"), ConnectAddr(dest)))
	Must(t, err)
	if r := ReadAnswer(t, c, []byte{5, 2, 1, 0}); r != proxy.Succeeded {
		t.Fatal(r)
	}
	Eventually(t, "the fall-back is counted", func() bool { return conc.Table().Totals.FellBack.Load() == 1 })
}

// TestConcentratorStalls checks that a concentrator that accepts and says nothing
// is given up when Open's caller gives up, or when the time is over.
func TestConcentratorStalls(t *testing.T) {
	arrived := make(chan struct{}, 10)
	at := StartDestination(t, func(c *net.TCPConn) { arrived <- struct{}{}; Hold(c) })
	onBoth(t, func(t *testing.T, l setup) {
		up := upstreamTo(at, func(c *leg.Config) { l.up(c); c.AnswerTimeout = 200 * time.Millisecond })
		_, err := up.OpenStream(Within(t), &proxy.Flow{To: To(V4)})
		Await(t, "arrival", arrived)
		if proxy.OutcomeOf(err) != proxy.TTLExpired {
			t.Errorf("timeout: %v, %v", err, proxy.OutcomeOf(err))
		}
		up = upstreamTo(at, l.up)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() { <-arrived; cancel(serve.ErrPeerGone) }()
		if _, err := up.OpenStream(ctx, &proxy.Flow{To: To(V4)}); err == nil {
			t.Errorf("cancelled: %v", err)
		}
		if h := up.Health(); h.State != leg.ServerUnknown {
			t.Errorf("a caller that went away says nothing about the concentrator: %+v", h)
		}
	})
}

// TestThroughFront runs a conversation of an application through both.
func TestThroughFront(t *testing.T) {
	dest := StartDestination(t, Echo)
	resolver := StartNameServer(t, map[string][]netip.Addr{"dest.test.": {dest.Addr()}})
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, func(c *egress.Config) { l.conc(c); c.Resolver = resolver })
		front, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		for _, tt := range []struct {
			name     string
			greeting []byte
			answer   []byte
			request  []byte
			mode     string
		}{
			{"address", GreetNone(), []byte{5, 0}, ConnectAddr(dest), "aggregate"},
			{"name", GreetNone(), []byte{5, 0}, ConnectName("dest.test", dest.Port()), "aggregate"},
			{"mode", GreetUser("x+handover", ""), []byte{5, 2, 1, 0}, ConnectAddr(dest), "handover"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := DialPlain(t, f.Addr)
				_, err := c.Write(Join(tt.greeting, tt.request, []byte("early, ")))
				Must(t, err)
				if r := ReadAnswer(t, c, tt.answer); r != proxy.Succeeded {
					t.Fatal(r)
				}
				if live := waitLive(t, conc.Table(), 1); live[0].Mode != tt.mode {
					t.Errorf("table: %+v", live)
				}
				if got := Exchange(t, c, "late"); got != "early, late" {
					t.Errorf("got %q", got)
				}
				Eventually(t, "both tables are empty", func() bool { return front.Table().Len()+conc.Table().Len() == 0 })
			})
		}
		if n := front.Table().Totals.BytesAToB.Load(); n == 0 {
			t.Error("nothing counted")
		}
	})
}

// TestEarlyEnd: an application may send all it has to say, and its end, without
// waiting for any answer.
func TestEarlyEnd(t *testing.T) {
	dest := StartDestination(t, Echo)
	onBoth(t, func(t *testing.T, l setup) {
		_, at := startConcentrator(t, l.conc)
		_, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		c := DialPlain(t, f.Addr)
		got := Exchange(t, c, string(Join(GreetNone(), ConnectAddr(dest), []byte("question"))))
		if want := "\x05\x00\x05\x00"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "question") {
			t.Errorf("got %q", got)
		}
	})
}

func TestFrontReplies(t *testing.T) {
	dest := StartDestination(t, Hold)
	resolver := StartNameServer(t, nil)
	onBoth(t, func(t *testing.T, l setup) {
		_, at := startConcentrator(t, func(c *egress.Config) {
			l.conc(c)
			c.Resolver, c.ConnectTimeout = resolver, 100*time.Millisecond
		})
		wrongToken := func(c *leg.Config) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "alice", "wrong" }
		}
		for _, tt := range []struct {
			name    string
			up      *leg.Session
			request []byte
			want    proxy.Outcome
		}{
			{"succeeded", upstreamTo(at.Addr, l.up), ConnectAddr(dest), proxy.Succeeded},
			{"wrong token", upstreamTo(at.Addr, wrongToken), ConnectAddr(dest), proxy.GeneralFailure},
			{"not allowed", upstreamTo(at.Addr, l.up), ConnectAddr(netip.MustParseAddrPort("10.0.0.1:80")), proxy.NotAllowed},
			{"upstream down", upstreamTo(UnusedPort(t), l.up), ConnectAddr(dest), proxy.NetworkUnreachable},
			{"no such name", upstreamTo(at.Addr, l.up), ConnectName("nosuch.test", 80), proxy.HostUnreachable},
			{"refused", upstreamTo(at.Addr, l.up), ConnectAddr(UnusedPort(t)), proxy.ConnectionRefused},
			{"timeout", upstreamTo(at.Addr, l.up), ConnectAddr(DeadPort(t, "127.0.0.1")), proxy.TTLExpired},
			{"UDP", upstreamTo(at.Addr, l.up), Command(3, dest), proxy.CommandNotSupported},
		} {
			t.Run(tt.name, func(t *testing.T) {
				_, f := startFront(t, tt.up, nil)
				c := DialPlain(t, f.Addr)
				if got := Ask(t, c, tt.request); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				if tt.want == proxy.Succeeded {
					return
				}
				if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
					t.Errorf("after a refusal: %q, %v", rest, err)
				}
			})
		}
	})
}

// TestStraightToConcentrator: without TLS any SOCKS5 client is a client of the
// concentrator, also one that sends ahead.
func TestStraightToConcentrator(t *testing.T) {
	dest := StartDestination(t, Echo)
	_, at := startConcentrator(t, nil)
	early := strings.Repeat("early, ", 10_000)
	for _, tt := range []struct {
		name    string
		request []byte
		want    proxy.Outcome
	}{
		{"succeeded", ConnectAddr(dest), proxy.Succeeded},
		{"refused", ConnectAddr(UnusedPort(t)), proxy.ConnectionRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := DialPlain(t, at.Addr)
			_, err := c.Write(Join(GreetUser("alice", "token"), tt.request, []byte(early)))
			Must(t, err)
			if r := ReadAnswer(t, c, []byte{5, 2, 1, 0}); r != tt.want {
				t.Fatalf("got %v, want %v", r, tt.want)
			}
			if tt.want != proxy.Succeeded {
				return
			}
			if got := Exchange(t, c, "late"); got != early+"late" {
				t.Errorf("got %d bytes, want %d", len(got), len(early)+4)
			}
		})
	}
}

// TestGarbage sends nonsense to every listener: the connection ends, and nothing
// is left of it.
func TestGarbage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	junk := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	onBoth(t, func(t *testing.T, l setup) {
		conc, at := startConcentrator(t, l.conc)
		front, f := startFront(t, upstreamTo(at.Addr, l.up), func(c *front.Config) { c.WaysIn = socksFor(Alice) })
		for _, addr := range []netip.AddrPort{at.Addr, f.Addr} {
			for _, head := range [][]byte{nil, {5}, {5, 255}, GreetUser("alice", "token"), {22, 3, 1}, {22, 3, 1, 255, 255}} {
				for _, n := range []int{0, 1, 300, 100_000} {
					c := DialPlain(t, addr)
					_, _ = c.Write(Join(head, junk(n))) // it may be cut before all is sent
					_ = c.CloseWrite()
					_, _ = io.Copy(io.Discard, c)
					Must(t, c.Close())
				}
			}
		}
		Eventually(t, "nothing is left", func() bool {
			return conc.InUse()+front.InUse()+conc.Table().Len()+front.Table().Len() == 0
		})
		Must(t, upstreamTo(at.Addr, l.up).Check(Within(t), ""))
	})
}
