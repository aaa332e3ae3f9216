package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/hostaddr"
)

// ErrDestinationRefused: the concentrator does not connect to this address.
var ErrDestinationRefused error = &proxy.Failure{Outcome: proxy.NotAllowed, Err: errors.New("destination not allowed")}

// refusedRanges are the addresses through which a concentrator would open a
// door into its own network: loopback, link-local, private, unique-local,
// multicast, unspecified and reserved ones, and the IPv6 ranges that embed an
// IPv4 address and could smuggle one of those in (RFC 6890, RFC 6052).
var refusedRanges = []struct {
	prefix netip.Prefix
	name   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (carrier-grade NAT)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/96"), "unspecified, loopback or IPv4-compatible"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("fc00::/7"), "unique-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// DestinationRules say where the concentrator may connect to. Deny wins over
// Allow, and Allow over the ranges that are refused by default.
type DestinationRules struct {
	Allow, Deny []netip.Prefix
}

// Check returns nil, or an error that wraps ErrDestinationRefused and says
// why. own lists the concentrator's own addresses, which are refused like its
// loopback: a firewall in front of it does not see such connections.
func (r DestinationRules) Check(addr netip.Addr, own []netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	contains := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(r.Deny, contains) {
		return fmt.Errorf("%w: %s is denied by the configuration", ErrDestinationRefused, addr)
	}
	if slices.ContainsFunc(r.Allow, contains) {
		return nil
	}
	for _, rr := range refusedRanges {
		if rr.prefix.Contains(addr) {
			return fmt.Errorf("%w: %s is in the %s range %s", ErrDestinationRefused, addr, rr.name, rr.prefix)
		}
	}
	if slices.Contains(own, addr) {
		return fmt.Errorf("%w: %s is the concentrator itself", ErrDestinationRefused, addr)
	}
	return nil
}

// destinationDialer connects to destinations: names are resolved here, both
// families are raced (RFC 8305), and each address is checked at the moment it
// is dialled, so that what was checked is what is connected to.
type destinationDialer struct {
	dialer net.Dialer
	rules  DestinationRules
	own    hostaddr.Cache
}

func newDestinationDialer(rules DestinationRules, resolver *net.Resolver, timeout time.Duration) *destinationDialer {
	d := &destinationDialer{rules: rules}
	// The relay sees to keep-alive.
	d.dialer = net.Dialer{Timeout: timeout, Resolver: resolver, ControlContext: d.control, KeepAlive: -1}
	d.dialer.SetMultipathTCP(false)
	return d
}

func (d *destinationDialer) dial(ctx context.Context, to proxy.Destination) (*net.TCPConn, error) {
	if to.Port == 0 {
		return nil, fmt.Errorf("%w: port 0", ErrDestinationRefused)
	}
	conn, err := d.dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (d *destinationDialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDestinationRefused, err)
	}
	own, err := d.own.Get()
	if err != nil {
		return err
	}
	return d.rules.Check(ap.Addr(), own)
}
