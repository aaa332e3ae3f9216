package subopt_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/test/conns"
	"mpproxy/test/netns"
)

// BenchmarkWalk measures what Set and Get take with many sockets in the
// namespace: most of it is the walk over the kernel's table, whose size follows
// from the host's memory (net.ipv4.tcp_ehash_entries).
func BenchmarkWalk(b *testing.B) {
	netns.Require(b)
	for _, sockets := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("%d-sockets", sockets), func(b *testing.B) {
			h := conns.NewHost(b, "one")
			e := crowd(b, h, sockets)
			s := open(b, h)
			ctx := b.Context()
			must(b, h.Do(ctx, func() error {
				b.Run("Set", func(b *testing.B) {
					for b.Loop() {
						must(b, s.Set(ctx, e.local, e.remote, subopt.Mark, subopt.Number(7)))
					}
				})
				b.Run("Get", func(b *testing.B) {
					for b.Loop() {
						_, err := s.Get(ctx, e.local, e.remote, subopt.Congestion)
						must(b, err)
					}
				})
				b.Run("none", func(b *testing.B) {
					for b.Loop() {
						if _, err := s.Get(ctx, e.remote, netip.AddrPortFrom(addr("127.0.0.9"), 9), subopt.Mark); err == nil {
							b.Fatal("there is no such subflow")
						}
					}
				})
				return nil
			}))
		})
	}
}

// crowd opens connections on a host's loopback, two sockets each and one subflow,
// and returns one end.
func crowd(b *testing.B, h *netns.Host, sockets int) (e end) {
	b.Helper()
	ctx := testContext(b)
	must(b, h.Do(ctx, func() error {
		ln, err := (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			return err
		}
		b.Cleanup(func() { _ = ln.Close() })
		if err := ln.SetDeadline(time.Now().Add(50 * time.Second)); err != nil {
			return err
		}
		for range sockets / 2 {
			c, err := (&mptcpsock.Dialer{Strict: true}).Dial(ctx, ln.Addr())
			if err != nil {
				return err
			}
			b.Cleanup(func() { _ = c.Close() })
			accepted, err := ln.Accept()
			if err != nil {
				return err
			}
			b.Cleanup(func() { _ = accepted.Close() })
			e = end{local: c.LocalAddrPort(), remote: c.RemoteAddrPort()}
		}
		return nil
	}))
	return e
}

// BenchmarkRule measures what rules cost a connection: dial, accept, close both,
// without a hook, with a rule for others, and with rules that match.
func BenchmarkRule(b *testing.B) {
	netns.Require(b)
	for _, bb := range []struct {
		name  string
		rules func(b *testing.B, s *subopt.Setter, port uint16)
	}{
		{"no-hook", func(*testing.B, *subopt.Setter, uint16) {}},
		{"others", func(b *testing.B, s *subopt.Setter, port uint16) {
			addRule(b, s, port+1, subopt.Mark, subopt.Number(7))
		}},
		{"two-rules", func(b *testing.B, s *subopt.Setter, port uint16) {
			addRule(b, s, port, subopt.Congestion, subopt.Text("reno"))
			addRule(b, s, port, subopt.MinRTO, subopt.Duration(40*time.Millisecond))
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			h := conns.NewHost(b, "one")
			s := open(b, h)
			ctx := b.Context()
			must(b, h.Do(ctx, func() error {
				ln, err := (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
				must(b, err)
				defer ln.Close()
				bb.rules(b, s, ln.Addr().Port())
				for b.Loop() {
					c, err := (&mptcpsock.Dialer{Strict: true}).Dial(ctx, ln.Addr())
					must(b, err)
					accepted, err := ln.Accept()
					must(b, err)
					for _, c := range []net.Conn{c, accepted} {
						must(b, c.Close())
					}
				}
				return nil
			}))
		})
	}
}

func addRule(b *testing.B, s *subopt.Setter, port uint16, o subopt.Option, v subopt.Value) {
	b.Helper()
	_, err := s.SetOnConnect(subopt.Match{Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}, o, v)
	must(b, err)
}

// BenchmarkOpen measures Open and Close; the first one reads the kernel's types.
func BenchmarkOpen(b *testing.B) {
	must(b, open(b, conns.NewHost(b, "one")).Close()) // or skip
	b.ReportAllocs()
	for b.Loop() {
		s, err := subopt.Open()
		must(b, err)
		must(b, s.Close())
	}
}

// BenchmarkSetOnConnect measures a rule, set and removed; the first one loads and
// attaches the program.
func BenchmarkSetOnConnect(b *testing.B) {
	s := open(b, conns.NewHost(b, "one"))
	addRule(b, s, 80, subopt.Mark, subopt.Number(7))
	for b.Loop() {
		r, err := s.SetOnConnect(subopt.Match{Cookie: 1}, subopt.Mark, subopt.Number(7))
		must(b, err)
		must(b, r.Remove())
	}
}
