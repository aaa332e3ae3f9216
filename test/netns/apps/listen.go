package apps

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Host is where a server listens; *netns.Host is one.
type Host interface {
	Do(ctx context.Context, fn func() error) error
}

// Local is the namespace of the calling program itself.
type Local struct{}

// Do runs fn.
func (Local) Do(_ context.Context, fn func() error) error { return fn() }

// Listen opens a plain TCP listener on all IPv4 and IPv6 addresses of a host;
// port 0 is any.
func Listen(ctx context.Context, h Host, port int) (*net.TCPListener, error) {
	return ListenAddr(ctx, h, net.JoinHostPort("", strconv.Itoa(port)))
}

// ListenAddr is Listen for one address, "127.0.0.1:80", not a name.
func ListenAddr(ctx context.Context, h Host, address string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // Go listens with Multipath TCP where the kernel has it
	var l net.Listener
	err := h.Do(ctx, func() error {
		var err error
		l, err = lc.Listen(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("apps: %w", err)
	}
	return l.(*net.TCPListener), nil
}
