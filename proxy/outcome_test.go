package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

func TestReplyFor(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)} }
	for _, tt := range []struct {
		err  error
		want proxy.Outcome
	}{
		{nil, proxy.Succeeded},
		{errors.New("anything"), proxy.GeneralFailure},
		{serve.New(nil, 1, 0).ErrFull(), proxy.GeneralFailure},
		{serve.ErrPeerGone, proxy.GeneralFailure},
		{&proxy.Failure{Outcome: proxy.HostUnreachable, Err: destination.ErrRefused}, proxy.HostUnreachable},
		{fmt.Errorf("open: %w", &proxy.Failure{Outcome: 77, Err: errors.New("odd")}), 77},
		{fmt.Errorf("%w: loopback", destination.ErrRefused), proxy.NotAllowed},
		{&net.OpError{Op: "dial", Err: fmt.Errorf("%w: loopback", destination.ErrRefused)}, proxy.NotAllowed},
		{fmt.Errorf("%w: %w", leg.ErrUnreachable, syscall.ECONNREFUSED), proxy.NetworkUnreachable},
		{socks.ErrTokenRefused, proxy.GeneralFailure},
		{fmt.Errorf("%w (%w)", leg.ErrNotMultipath, context.DeadlineExceeded), proxy.GeneralFailure},
		{&net.DNSError{IsNotFound: true}, proxy.HostUnreachable},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, proxy.HostUnreachable},
		{&net.DNSError{IsTimeout: true}, proxy.TTLExpired},
		{op(syscall.ECONNREFUSED), proxy.ConnectionRefused},
		{op(syscall.EHOSTUNREACH), proxy.HostUnreachable},
		{op(syscall.EHOSTDOWN), proxy.HostUnreachable},
		{op(syscall.ENETUNREACH), proxy.NetworkUnreachable},
		{op(syscall.ENETDOWN), proxy.NetworkUnreachable},
		{op(syscall.EADDRNOTAVAIL), proxy.NetworkUnreachable},
		{op(syscall.ETIMEDOUT), proxy.TTLExpired},
		{op(syscall.EACCES), proxy.GeneralFailure},
		{os.ErrDeadlineExceeded, proxy.TTLExpired},
		{context.DeadlineExceeded, proxy.TTLExpired},
		{fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}), proxy.TTLExpired},
	} {
		if got := proxy.OutcomeOf(tt.err); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestReplyString(t *testing.T) {
	for r, want := range map[proxy.Outcome]string{
		proxy.Succeeded: "succeeded", proxy.ConnectionRefused: "connection refused",
		proxy.AddressTypeNotSupported: "address type not supported", 9: "reply 9", 255: "reply 255",
	} {
		if got := r.String(); got != want {
			t.Errorf("%d: got %q, want %q", uint8(r), got, want)
		}
	}
}
