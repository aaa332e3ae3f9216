// Package ingress says what a way in is. Each one has a folder of its own below
// this one, and turns what applications ask for into flows:
//
//	front.New(front.Config{WaysIn: []ingress.WayIn{socks5.WayIn{…}, portforward.WayIn{…}}, …})
//
// Rules, modes, limits and accounting know flows alone, so that nothing else changes
// when a way in is added. The package's example is a whole one.
package ingress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"mpproxy/proxy"
	"mpproxy/proxy/relay"
	"mpproxy/proxy/serve"
)

// WayIn is one way for applications to ask for connections.
type WayIn interface {
	// String names the way in, in logs: "SOCKS5 proxy".
	String() string
	// Listen opens the listeners, or none. The front closes them.
	Listen(ctx context.Context) ([]*net.TCPListener, error)
	// Flow reads from an accepted connection what the application asks for. The
	// front has set the deadline, and ctx ends with the connection; conn stays open and is the front's. When Flow
	// fails, the application has been told as far as the way in can tell it. The
	// error wraps proxy.ErrPeerLeft when the application went, and
	// proxy.ErrAuthenticationFailed when it may not use this way in.
	//
	// The flow's To and Who are filled in: Who.Mode is the mode of those who ask
	// for none, unless the application names one.
	Flow(ctx context.Context, conn *net.TCPConn) (*proxy.Flow, error)
}

// Listen opens a plain TCP listener at each address. An error says which one cannot
// be listened on, and what to do about it; none is open then. An address that the
// host does not have yet is none that fails: it serves as soon as it exists.
func Listen(ctx context.Context, addrs ...netip.AddrPort) (listeners []*net.TCPListener, err error) {
	// Applications on the loopback speak plain TCP: no MPTCP here (Go would switch
	// it on by default since 1.24). The relay sees to keep-alive.
	lc := net.ListenConfig{KeepAlive: -1, Control: control}
	lc.SetMultipathTCP(false)
	for _, addr := range addrs {
		network := "tcp6"
		if addr.Addr().Unmap().Is4() {
			network = "tcp4" // 0.0.0.0 must not open [::] as well
		}
		l, err := lc.Listen(ctx, network, addr.String())
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, serve.ListenError(addr, err)
		}
		listeners = append(listeners, l.(*net.TCPListener))
	}
	return listeners, nil
}

// control prepares a listener.
func control(network, _ string, c syscall.RawConn) error {
	return errors.Join(freeBind(network, c), relay.UrgentInline(c))
}

// freeBind lets a listener have an address that no interface has (ip(7), IP_FREEBIND):
// a LAN's interface may come up after the program. It needs no privilege.
func freeBind(network string, c syscall.RawConn) (err error) {
	level, option := unix.SOL_IP, unix.IP_FREEBIND
	if network == "tcp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	set := func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, option, 1))
	}
	controlErr := c.Control(set)
	return errors.Join(controlErr, err)
}
