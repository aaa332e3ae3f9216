package proxy

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
)

// leg is a way to run the same test over TLS and without.
type leg struct {
	name string
	conc func(*ConcentratorConfig)
	up   func(*UpstreamConfig)
}

func legs(t testing.TB) []leg {
	cert, pin := newKey(t)
	plain := leg{"none", func(*ConcentratorConfig) {}, func(*UpstreamConfig) {}}
	secure := leg{
		"tls",
		func(c *ConcentratorConfig) { c.TLS = ServerTLS(cert) },
		func(c *UpstreamConfig) { c.TLS = ClientTLS("concentrator", pin) },
	}
	return []leg{plain, secure, plain.kept(32), secure.kept(32)}
}

// kept makes both ends keep up to n legs for another stream.
func (l leg) kept(n int) leg {
	return leg{
		l.name + ", kept",
		func(c *ConcentratorConfig) { l.conc(c); c.IdleLegs = n },
		func(c *UpstreamConfig) { l.up(c); c.IdleLegs = n },
	}
}

func onBoth(t *testing.T, f func(t *testing.T, l leg)) {
	for _, l := range legs(t) {
		t.Run(l.name, func(t *testing.T) { f(t, l) })
	}
}

// waitLive waits until n connections are in the table: the client has its answer
// a moment earlier.
func waitLive(t testing.TB, table *Table, n int) []*Connection {
	t.Helper()
	eventually(t, "the connections are in the table", func() bool { return table.Len() == n })
	return table.Connections()
}

func TestOpen(t *testing.T) {
	dest := startDestination(t, echo)
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, l.up)
		for range 3 { // the second time on, TLS sessions are resumed
			got, err := up.Open(within(t), Stream{Destination: to(dest), Choice: Choice{Mode: "handover"}})
			must(t, err)
			if !got.Bound.Addr().IsLoopback() || got.Bound.Port() == 0 {
				t.Errorf("bound to %v", got.Bound)
			}
			must(t, got.Conn.SetDeadline(time.Now().Add(patience)))
			live := waitLive(t, conc.Table(), 1)
			if live[0].User != "alice" || live[0].Mode != "handover" || live[0].Destination != to(dest) || live[0].Peer != got.Conn.LocalAddrPort() {
				t.Errorf("table: %+v", live)
			}
			if tc, ok := got.Stream.(*tls.Conn); ok && tc.ConnectionState().Version != tls.VersionTLS13 {
				t.Errorf("TLS version %x", tc.ConnectionState().Version)
			}
			// Half-close: the answer comes after the end of the question.
			if answer := exchange(t, got.Stream, "question"); answer != "question" {
				t.Errorf("answer %q", answer)
			}
			must(t, got.Stream.Close())
			eventually(t, "the connection has left the table", func() bool { return conc.Table().Len() == 0 })
		}
		if n := conc.Table().Totals.BytesAToB.Load(); n != 3*uint64(len("question")) {
			t.Errorf("%d bytes counted", n)
		}
		if h := up.Health(); h.State != ServerOK {
			t.Errorf("health %+v", h)
		}
	})
}

func TestCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, l leg) {
		logged, log := newLog()
		_, at := startConcentrator(t, func(c *ConcentratorConfig) { l.conc(c); c.Log, c.DrainTimeout = log, patience })
		up := upstreamTo(at.addr, l.up)
		must(t, up.Check(within(t), ""))
		if h := up.Health(); h.State != ServerOK || h.LastOK.IsZero() {
			t.Errorf("health %+v", h)
		}
		at.stop()
		await(t, "the end of Run", at.done)
		if strings.Contains(logged.String(), "WARN") {
			t.Errorf("a check is no reason to warn:\n%s", logged)
		}
	})
}

func TestTokenRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		up := upstreamTo(at.addr, func(c *UpstreamConfig) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "alice", "wrong" }
		})
		if err := up.Check(within(t), ""); !errors.Is(err, ErrTokenRefused) {
			t.Errorf("Check: %v", err)
		}
		if _, err := up.Open(within(t), Stream{Destination: to(v4)}); !errors.Is(err, ErrTokenRefused) {
			t.Errorf("Open: %v", err)
		}
		if h := up.Health(); h.State != ServerTokenRefused || h.Advice == "" {
			t.Errorf("health %+v", h)
		}
		eventually(t, "both failures are counted", func() bool { return conc.Table().Totals.AuthFailures.Load() == 2 })
	})
}

func TestUnreachable(t *testing.T) {
	up := upstreamTo(unusedPort(t), nil)
	if err := up.Check(within(t), ""); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Check: %v", err)
	}
	if _, err := up.Open(within(t), Stream{Destination: to(v4)}); !errors.Is(err, ErrUnreachable) || replyFor(err) != ReplyNetworkUnreachable {
		t.Errorf("Open: %v", err)
	}
	if h := up.Health(); h.State != ServerUnreachable {
		t.Errorf("health %+v", h)
	}
}

func TestWrongPin(t *testing.T) {
	cert, _ := newKey(t)
	_, other := newKey(t)
	_, at := startConcentrator(t, func(c *ConcentratorConfig) { c.TLS = ServerTLS(cert) })
	up := upstreamTo(at.addr, func(c *UpstreamConfig) { c.TLS = ClientTLS("concentrator", other) })
	if err := up.Check(within(t), ""); !errors.Is(err, ErrPinMismatch) {
		t.Errorf("got %v", err)
	}
	if h := up.Health(); h.State != ServerWrongPin {
		t.Errorf("health %+v", h)
	}
}

// TestResumptionChecksPin checks that a session of the right server is no pass
// for one with another key, under the same name, not even for one that can
// resume it.
func TestResumptionChecksPin(t *testing.T) {
	right, pin := newKey(t)
	wrong, _ := newKey(t)
	_, good := startConcentrator(t, func(c *ConcentratorConfig) { c.TLS = ServerTLS(right) })
	_, bad := startConcentrator(t, func(c *ConcentratorConfig) { c.TLS = ServerTLS(wrong) })
	client := ClientTLS("concentrator", pin)
	using := func(c *UpstreamConfig) { c.TLS = client }
	must(t, upstreamTo(good.addr, using).Check(within(t), ""))
	must(t, upstreamTo(good.addr, using).Check(within(t), ""))
	if err := upstreamTo(bad.addr, using).Check(within(t), ""); !errors.Is(err, ErrPinMismatch) {
		t.Errorf("got %v", err)
	}
	must(t, upstreamTo(good.addr, using).Check(within(t), ""))

	_, strange := newKey(t)
	other := ClientTLS("concentrator", strange)
	other.ClientSessionCache = client.ClientSessionCache
	if err := upstreamTo(good.addr, func(c *UpstreamConfig) { c.TLS = other }).Check(within(t), ""); !errors.Is(err, ErrPinMismatch) {
		t.Errorf("resumed with another pin: %v", err)
	}
}

// TestSecurityMismatch checks that one side with TLS and the other without is an
// error at once, not a wait for a timeout.
func TestSecurityMismatch(t *testing.T) {
	both := legs(t)
	for _, tt := range []struct {
		name string
		conc func(*ConcentratorConfig)
		up   func(*UpstreamConfig)
		says string
	}{
		{"client TLS, server none", both[0].conc, both[1].up, "TLS"},
		{"client none, server TLS", both[1].conc, both[0].up, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, at := startConcentrator(t, tt.conc)
			up := upstreamTo(at.addr, tt.up)
			err := up.Check(within(t), "")
			if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			for _, other := range []error{ErrUnreachable, ErrPinMismatch, ErrTokenRefused} {
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
	plain := startDestination(t, hold) // whatever it is, it is no MPTCP
	fell := make(chan string, 1)
	up := upstreamTo(plain, func(c *UpstreamConfig) {
		c.RequireMPTCP = true
		c.FellBack = func(path string) { fell <- path }
	})
	if err := up.Check(within(t), ""); !errors.Is(err, ErrNotMultipath) {
		t.Errorf("got %v", err)
	}
	if path := await(t, "FellBack", fell); path != "default route" {
		t.Errorf("path %q", path)
	}
	if h := up.Health(); h.State != ServerNoMPTCP || !h.Plain {
		t.Errorf("health %+v", h)
	}
	_, at := startConcentrator(t, nil)
	must(t, upstreamTo(at.addr, func(c *UpstreamConfig) { c.RequireMPTCP = true }).Check(within(t), ""))
}

func TestFallbackIsCounted(t *testing.T) {
	conc, at := startConcentrator(t, nil)
	dest := startDestination(t, hold)
	c := dialPlain(t, at.addr)
	_, err := c.Write(join(greetUser("alice", "token"), connectAddr(dest)))
	must(t, err)
	if r := readAnswer(t, c, []byte{5, 2, 1, 0}); r != ReplySucceeded {
		t.Fatal(r)
	}
	eventually(t, "the fall-back is counted", func() bool { return conc.Table().Totals.FellBack.Load() == 1 })
}

// TestConcentratorStalls checks that a concentrator that accepts and says nothing
// is given up when Open's caller gives up, or when the time is over.
func TestConcentratorStalls(t *testing.T) {
	arrived := make(chan struct{}, 10)
	at := startDestination(t, func(c *net.TCPConn) { arrived <- struct{}{}; hold(c) })
	onBoth(t, func(t *testing.T, l leg) {
		up := upstreamTo(at, func(c *UpstreamConfig) { l.up(c); c.AnswerTimeout = 30 * time.Millisecond })
		_, err := up.Open(within(t), Stream{Destination: to(v4)})
		await(t, "arrival", arrived)
		if replyFor(err) != ReplyTTLExpired {
			t.Errorf("timeout: %v, %v", err, replyFor(err))
		}
		up = upstreamTo(at, l.up)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() { <-arrived; cancel(errPeerGone) }()
		if _, err := up.Open(ctx, Stream{Destination: to(v4)}); err == nil {
			t.Errorf("cancelled: %v", err)
		}
		if h := up.Health(); h.State != ServerUnknown {
			t.Errorf("a caller that went away says nothing about the concentrator: %+v", h)
		}
	})
}

// TestThroughFront runs a conversation of an application through both.
func TestThroughFront(t *testing.T) {
	dest := startDestination(t, echo)
	resolver := startNameServer(t, map[string][]netip.Addr{"dest.test.": {dest.Addr()}})
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, func(c *ConcentratorConfig) { l.conc(c); c.Resolver = resolver })
		front, f := startFront(t, upstreamTo(at.addr, l.up), nil)
		for _, tt := range []struct {
			name     string
			greeting []byte
			answer   []byte
			request  []byte
			mode     string
		}{
			{"address", greetNone(), []byte{5, 0}, connectAddr(dest), "aggregate"},
			{"name", greetNone(), []byte{5, 0}, connectName("dest.test", dest.Port()), "aggregate"},
			{"mode", greetUser("x+handover", ""), []byte{5, 2, 1, 0}, connectAddr(dest), "handover"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := dialPlain(t, f.addr)
				_, err := c.Write(join(tt.greeting, tt.request, []byte("early, ")))
				must(t, err)
				if r := readAnswer(t, c, tt.answer); r != ReplySucceeded {
					t.Fatal(r)
				}
				if live := waitLive(t, conc.Table(), 1); live[0].Mode != tt.mode {
					t.Errorf("table: %+v", live)
				}
				if got := exchange(t, c, "late"); got != "early, late" {
					t.Errorf("got %q", got)
				}
				eventually(t, "both tables are empty", func() bool { return front.Table().Len()+conc.Table().Len() == 0 })
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
	dest := startDestination(t, echo)
	onBoth(t, func(t *testing.T, l leg) {
		_, at := startConcentrator(t, l.conc)
		_, f := startFront(t, upstreamTo(at.addr, l.up), nil)
		c := dialPlain(t, f.addr)
		got := exchange(t, c, string(join(greetNone(), connectAddr(dest), []byte("question"))))
		if want := "\x05\x00\x05\x00"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "question") {
			t.Errorf("got %q", got)
		}
	})
}

func TestFrontReplies(t *testing.T) {
	dest := startDestination(t, hold)
	resolver := startNameServer(t, nil)
	onBoth(t, func(t *testing.T, l leg) {
		_, at := startConcentrator(t, func(c *ConcentratorConfig) {
			l.conc(c)
			c.Resolver, c.ConnectTimeout = resolver, 100*time.Millisecond
		})
		wrongToken := func(c *UpstreamConfig) {
			l.up(c)
			c.Credentials = func(string) (string, string) { return "alice", "wrong" }
		}
		for _, tt := range []struct {
			name    string
			up      *Upstream
			request []byte
			want    Reply
		}{
			{"succeeded", upstreamTo(at.addr, l.up), connectAddr(dest), ReplySucceeded},
			{"wrong token", upstreamTo(at.addr, wrongToken), connectAddr(dest), ReplyGeneralFailure},
			{"not allowed", upstreamTo(at.addr, l.up), connectAddr(netip.MustParseAddrPort("10.0.0.1:80")), ReplyNotAllowed},
			{"upstream down", upstreamTo(unusedPort(t), l.up), connectAddr(dest), ReplyNetworkUnreachable},
			{"no such name", upstreamTo(at.addr, l.up), connectName("nosuch.test", 80), ReplyHostUnreachable},
			{"refused", upstreamTo(at.addr, l.up), connectAddr(unusedPort(t)), ReplyConnectionRefused},
			{"timeout", upstreamTo(at.addr, l.up), connectAddr(silent(t, "127.0.0.1")), ReplyTTLExpired},
			{"UDP", upstreamTo(at.addr, l.up), command(3, dest), ReplyCommandNotSupported},
		} {
			t.Run(tt.name, func(t *testing.T) {
				_, f := startFront(t, tt.up, nil)
				c := dialPlain(t, f.addr)
				if got := ask(t, c, tt.request); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				if tt.want == ReplySucceeded {
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
	dest := startDestination(t, echo)
	_, at := startConcentrator(t, nil)
	early := strings.Repeat("early, ", 10_000)
	for _, tt := range []struct {
		name    string
		request []byte
		want    Reply
	}{
		{"succeeded", connectAddr(dest), ReplySucceeded},
		{"refused", connectAddr(unusedPort(t)), ReplyConnectionRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialPlain(t, at.addr)
			_, err := c.Write(join(greetUser("alice", "token"), tt.request, []byte(early)))
			must(t, err)
			if r := readAnswer(t, c, []byte{5, 2, 1, 0}); r != tt.want {
				t.Fatalf("got %v, want %v", r, tt.want)
			}
			if tt.want != ReplySucceeded {
				return
			}
			if got := exchange(t, c, "late"); got != early+"late" {
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
	onBoth(t, func(t *testing.T, l leg) {
		conc, at := startConcentrator(t, l.conc)
		front, f := startFront(t, upstreamTo(at.addr, l.up), func(c *FrontConfig) { c.Auth = alice })
		for _, addr := range []netip.AddrPort{at.addr, f.addr} {
			for _, head := range [][]byte{nil, {5}, {5, 255}, greetUser("alice", "token"), {22, 3, 1}, {22, 3, 1, 255, 255}} {
				for _, n := range []int{0, 1, 300, 100_000} {
					c := dialPlain(t, addr)
					_, _ = c.Write(join(head, junk(n))) // it may be cut before all is sent
					_ = c.CloseWrite()
					_, _ = io.Copy(io.Discard, c)
					must(t, c.Close())
				}
			}
		}
		eventually(t, "nothing is left", func() bool {
			return len(conc.limit)+len(front.limit)+conc.Table().Len()+front.Table().Len() == 0
		})
		must(t, upstreamTo(at.addr, l.up).Check(within(t), ""))
	})
}
