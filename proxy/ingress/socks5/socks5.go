// Package socks5 is the way in for applications that know proxies: a SOCKS5 server
// (RFC 1928, RFC 1929). The user name may carry the mode, "alice+handover".
package socks5

import (
	"context"
	"net"
	"net/netip"

	"mpproxy/proxy"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/socks"
)

// WayIn is an ingress.WayIn.
type WayIn struct {
	Addrs []netip.AddrPort // to listen on; port 0 lets the kernel choose
	Auth  socks.Authenticator
	// NeverAsk: see socks.Server.
	NeverAsk bool
}

// String names the way in.
func (WayIn) String() string { return "SOCKS5 proxy" }

// Listen listens on Addrs.
func (w WayIn) Listen(ctx context.Context) ([]*net.TCPListener, error) {
	return ingress.Listen(ctx, w.Addrs...)
}

// Flow shakes hands with an application.
func (w WayIn) Flow(ctx context.Context, conn *net.TCPConn) (*proxy.Flow, error) {
	req, err := (&socks.Server{Auth: w.Auth, NeverAsk: w.NeverAsk, Explain: true}).Handshake(ctx, conn)
	if err != nil {
		return nil, err
	}
	return &req.Flow, nil
}
