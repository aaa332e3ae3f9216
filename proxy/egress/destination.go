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
	"mpproxy/proxy/relay"
)

// destinationDialer connects to destinations: names are resolved here, both
// families are raced (RFC 8305), and each address is checked at the moment it
// is dialled, so that what was checked is what is connected to.
type destinationDialer struct {
	dialer net.Dialer
	rules  destination.Rules
	around *destination.Surroundings
}

func newDestinationDialer(rules destination.Rules, public string, resolver *net.Resolver, timeout time.Duration) *destinationDialer {
	d := &destinationDialer{rules: rules, around: destination.NewSurroundings(resolver, public)}
	// The relay sees to keep-alive.
	d.dialer = net.Dialer{Timeout: timeout, Resolver: resolver, ControlContext: d.control, KeepAlive: -1}
	d.dialer.SetMultipathTCP(false)
	return d
}

func (d *destinationDialer) dial(ctx context.Context, to proxy.Destination) (*net.TCPConn, error) {
	if to.Port == 0 {
		return nil, fmt.Errorf("%w: port 0", destination.ErrRefused)
	}
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
	if err := d.rules.Check(to, known); err != nil {
		return err
	}
	return relay.UrgentInline(c)
}
