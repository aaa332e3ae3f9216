package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestDestinationRules(t *testing.T) {
	prefixes := func(s ...string) (ps []netip.Prefix) {
		for _, p := range s {
			ps = append(ps, netip.MustParsePrefix(p))
		}
		return ps
	}
	own := []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")}
	for _, tt := range []struct {
		name    string
		rules   DestinationRules
		addrs   []string
		refused bool
	}{
		{name: "public", addrs: []string{
			"192.0.2.1", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
			"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255",
			"192.169.0.0", "223.255.255.255", "2001:db8::1", "2001:1::1", "2003::", "2606:4700::1111", "fbff::1",
			"::fffe:0:0:1", "64:ff9b:0:1::1",
		}},
		{name: "refused ranges, their first and last addresses", refused: true, addrs: []string{
			"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
			"169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255",
			"192.168.0.0", "192.168.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
			"::", "::1", "::127.0.0.1", "::192.0.2.1", "fc00::", "fd12::1", "fdff:ffff::", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ffff::",
		}},
		{name: "IPv4 smuggled in IPv6", refused: true, addrs: []string{
			"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001::7f00:1",
		}},
		{name: "zones", refused: true, addrs: []string{"fe80::1%eth0", "::1%lo", "2001:db8::9%eth0"}},
		{name: "IPv4-mapped public", addrs: []string{"::ffff:192.0.2.1"}},
		{name: "own", refused: true, addrs: []string{"203.0.113.9", "::ffff:203.0.113.9", "2001:db8::9"}},
		{name: "allowed", rules: DestinationRules{Allow: prefixes("10.1.0.0/16", "::1/128", "203.0.113.9/32")}, addrs: []string{"10.1.2.3", "::ffff:10.1.2.3", "::1", "203.0.113.9"}},
		{name: "beside the allowed", rules: DestinationRules{Allow: prefixes("10.1.0.0/16")}, addrs: []string{"10.2.0.0", "10.0.255.255"}, refused: true},
		{name: "deny wins over allow", rules: DestinationRules{Allow: prefixes("10.0.0.0/8"), Deny: prefixes("10.1.0.0/16")}, addrs: []string{"10.1.0.1", "::ffff:10.1.0.1"}, refused: true},
		{name: "deny, narrower than nothing", rules: DestinationRules{Deny: prefixes("0.0.0.0/0", "::/0")}, addrs: []string{"192.0.2.1", "2001:db8::1", "2001:db8::1%eth0"}, refused: true},
		{name: "deny leaves the rest", rules: DestinationRules{Deny: prefixes("192.0.2.0/24")}, addrs: []string{"198.51.100.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, a := range tt.addrs {
				err := tt.rules.Check(netip.MustParseAddr(a), own)
				if errors.Is(err, ErrDestinationRefused) != tt.refused || (err != nil) != tt.refused {
					t.Errorf("%s: got %v, want refused: %v", a, err, tt.refused)
				}
			}
		})
	}
}

// nameServer answers DNS questions with fixed addresses, in the test's process.
type nameServer struct {
	conn  net.PacketConn
	addrs map[string][]netip.Addr
	done  chan struct{}
}

func startNameServer(t *testing.T, addrs map[string][]netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &nameServer{conn, addrs, make(chan struct{})}
	go s.serve()
	t.Cleanup(func() { _ = conn.Close(); <-s.done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (s *nameServer) serve() {
	defer close(s.done)
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		s.answer(&m)
		if out, err := m.Pack(); err == nil {
			_, _ = s.conn.WriteTo(out, from)
		}
	}
}

func (s *nameServer) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	addrs, known := s.addrs[q.Name.String()]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			r.Body = &dnsmessage.AResource{A: a.As4()}
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			r.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, r)
	}
}

func addrs(s ...string) (as []netip.Addr) {
	for _, a := range s {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

// TestDialDestination checks that each address is checked when it is dialled,
// however the peer wrote it, and that another one of the name is tried then.
func TestDialDestination(t *testing.T) {
	here := startDestination(t, hold) // 127.0.0.1
	resolver := startNameServer(t, map[string][]netip.Addr{
		"here.test.":     addrs("127.0.0.1"),
		"inside.test.":   addrs("127.0.0.2", "10.0.0.1", "::1"),
		"mixed.test.":    addrs("127.0.0.2", "127.0.0.1", "::1"),
		"refused6.test.": addrs("::1", "127.0.0.1"),
		"empty.test.":    nil,
	})
	rules := DestinationRules{Allow: []netip.Prefix{netip.PrefixFrom(here.Addr(), 32), netip.MustParsePrefix("127.0.0.3/32")}}
	closed := boundOnly(t, "127.0.0.3")
	for _, tt := range []struct {
		to   Destination
		want Reply
	}{
		{Destination{Addr: here.Addr(), Port: here.Port()}, ReplySucceeded},
		{Destination{Name: "here.test", Port: here.Port()}, ReplySucceeded},
		{Destination{Name: "mixed.test", Port: here.Port()}, ReplySucceeded},
		{Destination{Name: "refused6.test", Port: here.Port()}, ReplySucceeded},
		{Destination{Name: "inside.test", Port: here.Port()}, ReplyNotAllowed},
		{Destination{Name: "localhost", Port: 1}, ReplyConnectionRefused}, // allowed, from the hosts file
		{Destination{Addr: netip.MustParseAddr("127.0.0.2"), Port: here.Port()}, ReplyNotAllowed},
		{Destination{Addr: netip.MustParseAddr("0.0.0.0"), Port: here.Port()}, ReplyNotAllowed},
		{Destination{Addr: netip.MustParseAddr("::"), Port: here.Port()}, ReplyNotAllowed},
		{Destination{Name: "0", Port: here.Port()}, ReplyHostUnreachable},
		{Destination{Name: "127.1", Port: here.Port()}, ReplyHostUnreachable},
		{Destination{Name: "here.test:80", Port: here.Port()}, ReplyHostUnreachable},
		{Destination{Addr: here.Addr(), Port: 0}, ReplyNotAllowed},
		{Destination{Name: "nosuch.test", Port: 80}, ReplyHostUnreachable},
		{Destination{Name: "empty.test", Port: 80}, ReplyHostUnreachable},
		{to(closed), ReplyConnectionRefused},
	} {
		t.Run(tt.to.String(), func(t *testing.T) {
			d := newDestinationDialer(rules, resolver, patience)
			c, err := d.dial(within(t), tt.to)
			if got := replyFor(err); got != tt.want {
				t.Fatalf("got %v (%v), want %v", got, err, tt.want)
			}
			if err != nil {
				return
			}
			defer c.Close()
			if got := addrPort(c.RemoteAddr()); got != here {
				t.Errorf("connected to %v, want %v", got, here)
			}
			if multipath, err := c.MultipathTCP(); multipath || err != nil {
				t.Errorf("multipath %v, %v", multipath, err)
			}
		})
	}
}

func TestDialDestinationTimeout(t *testing.T) {
	at := silent(t, "127.0.0.1")
	d := newDestinationDialer(DestinationRules{Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}}, nil, 20*time.Millisecond)
	_, err := d.dial(within(t), to(at))
	if got := replyFor(err); got != ReplyTTLExpired {
		t.Errorf("got %v (%v), want %v", got, err, ReplyTTLExpired)
	}
}

// TestOwnAddresses checks that the host's own addresses are known, and that they
// are refused when nothing allows them.
func TestOwnAddresses(t *testing.T) {
	var o ownAddrs
	got, err := o.get()
	must(t, err)
	ifaces, err := net.InterfaceAddrs()
	must(t, err)
	if len(got) != len(ifaces) {
		t.Errorf("got %v, want those of %v", got, ifaces)
	}
	again, err := o.get()
	if err != nil || len(again) > 0 && &again[0] != &got[0] {
		t.Errorf("not cached: %v", err)
	}
}
