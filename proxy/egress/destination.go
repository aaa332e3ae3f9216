package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/egress/names"
	"mpproxy/proxy/relay"
)

const (
	// resolutionDelay is how long the addresses of one family wait for those of the other
	// (RFC 8305 §3).
	resolutionDelay = 50 * time.Millisecond
	// attemptDelay is how long an address is tried alone (RFC 8305 §5).
	attemptDelay = 250 * time.Millisecond
	// lastHope is how long addresses of the other family are waited for when those of one
	// have all failed.
	lastHope = 2 * time.Second
)

// destinationDialer connects to destinations: names are resolved here, their addresses are
// tried one a little later than the other (RFC 8305), and each address is checked at the
// moment it is dialled, so that what was checked is what is connected to.
type destinationDialer struct {
	dialer  net.Dialer
	timeout time.Duration // of a dial, with all its addresses
	rules   destination.Rules
	around  *destination.Surroundings
	names   *names.Resolver
}

func newDestinationDialer(rules destination.Rules, public string, resolver *net.Resolver, timeout time.Duration) *destinationDialer {
	d := &destinationDialer{
		timeout: timeout, rules: rules, names: names.New(resolver),
		around: destination.NewSurroundings(resolver, public),
	}
	// The relay sees to keep-alive.
	d.dialer = net.Dialer{ControlContext: d.control, KeepAlive: -1}
	d.dialer.SetMultipathTCP(false)
	return d
}

// dial connects to a destination.
func (d *destinationDialer) dial(ctx context.Context, to proxy.Destination) (*net.TCPConn, error) {
	if err := d.rules.CheckPort(to.Port); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if to.Name == "" {
		return d.connect(ctx, netip.AddrPortFrom(to.Addr, to.Port))
	}
	r := newDialRace(d.connect, to.Port)
	for _, of := range []names.Family{names.IPv6, names.IPv4} {
		go func() {
			addrs, err := d.names.Lookup(ctx, to.Name, of)
			r.found <- found{of, addrs, err}
		}()
	}
	return r.run(ctx, cancel)
}

// connect connects to one address.
func (d *destinationDialer) connect(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	conn, err := d.dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (d *destinationDialer) control(ctx context.Context, _, address string, c syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", destination.ErrRefused, err)
	}
	known, err := d.around.Known(ctx)
	if err != nil {
		return err
	}
	if err := d.rules.CheckAddr(to.Addr(), known); err != nil {
		return err
	}
	return relay.UrgentInline(c)
}
