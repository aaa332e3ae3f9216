package egress

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"mpproxy/proxy"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
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

// TestDialDestination checks that each address is checked when it is dialled,
// however the peer wrote it, and that another one of the name is tried then.
func TestDialDestination(t *testing.T) {
	here := StartDestination(t, Hold) // 127.0.0.1
	resolver := StartNameServer(t, map[string][]netip.Addr{
		"here.test.":     Addrs("127.0.0.1"),
		"inside.test.":   Addrs("127.0.0.2", "10.0.0.1", "::1"),
		"mixed.test.":    Addrs("127.0.0.2", "127.0.0.1", "::1"),
		"refused6.test.": Addrs("::1", "127.0.0.1"),
		"empty.test.":    nil,
	})
	rules := DestinationRules{Allow: []netip.Prefix{netip.PrefixFrom(here.Addr(), 32), netip.MustParsePrefix("127.0.0.3/32")}}
	closed := BoundOnly(t, "127.0.0.3")
	for _, tt := range []struct {
		to   proxy.Destination
		want proxy.Outcome
	}{
		{proxy.Destination{Addr: here.Addr(), Port: here.Port()}, proxy.Succeeded},
		{proxy.Destination{Name: "here.test", Port: here.Port()}, proxy.Succeeded},
		{proxy.Destination{Name: "mixed.test", Port: here.Port()}, proxy.Succeeded},
		{proxy.Destination{Name: "refused6.test", Port: here.Port()}, proxy.Succeeded},
		{proxy.Destination{Name: "inside.test", Port: here.Port()}, proxy.NotAllowed},
		{proxy.Destination{Name: "localhost", Port: 1}, proxy.ConnectionRefused}, // allowed, from the hosts file
		{proxy.Destination{Addr: netip.MustParseAddr("127.0.0.2"), Port: here.Port()}, proxy.NotAllowed},
		{proxy.Destination{Addr: netip.MustParseAddr("0.0.0.0"), Port: here.Port()}, proxy.NotAllowed},
		{proxy.Destination{Addr: netip.MustParseAddr("::"), Port: here.Port()}, proxy.NotAllowed},
		{proxy.Destination{Name: "0", Port: here.Port()}, proxy.HostUnreachable},
		{proxy.Destination{Name: "127.1", Port: here.Port()}, proxy.HostUnreachable},
		{proxy.Destination{Name: "here.test:80", Port: here.Port()}, proxy.HostUnreachable},
		{proxy.Destination{Addr: here.Addr(), Port: 0}, proxy.NotAllowed},
		{proxy.Destination{Name: "nosuch.test", Port: 80}, proxy.HostUnreachable},
		{proxy.Destination{Name: "empty.test", Port: 80}, proxy.HostUnreachable},
		{To(closed), proxy.ConnectionRefused},
	} {
		t.Run(tt.to.String(), func(t *testing.T) {
			d := newDestinationDialer(rules, resolver, Patience)
			c, err := d.dial(Within(t), tt.to)
			if got := proxy.OutcomeOf(err); got != tt.want {
				t.Fatalf("got %v (%v), want %v", got, err, tt.want)
			}
			if err != nil {
				return
			}
			defer c.Close()
			if got := serve.AddrPort(c.RemoteAddr()); got != here {
				t.Errorf("connected to %v, want %v", got, here)
			}
			if multipath, err := c.MultipathTCP(); multipath || err != nil {
				t.Errorf("multipath %v, %v", multipath, err)
			}
		})
	}
}

func TestDialDestinationTimeout(t *testing.T) {
	at := DeadPort(t, "127.0.0.1")
	d := newDestinationDialer(DestinationRules{Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}}, nil, 20*time.Millisecond)
	_, err := d.dial(Within(t), To(at))
	if got := proxy.OutcomeOf(err); got != proxy.TTLExpired {
		t.Errorf("got %v (%v), want %v", got, err, proxy.TTLExpired)
	}
}
