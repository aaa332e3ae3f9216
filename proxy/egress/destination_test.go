package egress

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
)

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
	rules := destination.Rules{Allow: []netip.Prefix{netip.PrefixFrom(here.Addr(), 32), netip.MustParsePrefix("127.0.0.3/32")}}
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
			d := newDestinationDialer(rules, "", resolver, Patience)
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
	d := newDestinationDialer(destination.Rules{Allow: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}}, "", nil, 20*time.Millisecond)
	_, err := d.dial(Within(t), To(at))
	if got := proxy.OutcomeOf(err); got != proxy.TTLExpired {
		t.Errorf("got %v (%v), want %v", got, err, proxy.TTLExpired)
	}
}
