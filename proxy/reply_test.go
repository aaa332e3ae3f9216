package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestReplyFor(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)} }
	for _, tt := range []struct {
		err  error
		want Reply
	}{
		{nil, ReplySucceeded},
		{errors.New("anything"), ReplyGeneralFailure},
		{errFull(1), ReplyGeneralFailure},
		{errPeerGone, ReplyGeneralFailure},
		{&replyError{ReplyHostUnreachable, ErrDestinationRefused}, ReplyHostUnreachable},
		{fmt.Errorf("open: %w", &replyError{77, errors.New("odd")}), 77},
		{fmt.Errorf("%w: loopback", ErrDestinationRefused), ReplyNotAllowed},
		{&net.OpError{Op: "dial", Err: fmt.Errorf("%w: loopback", ErrDestinationRefused)}, ReplyNotAllowed},
		{fmt.Errorf("%w: %w", ErrUnreachable, syscall.ECONNREFUSED), ReplyNetworkUnreachable},
		{unreachableError{{err: context.DeadlineExceeded}}, ReplyNetworkUnreachable},
		{pinError{}, ReplyGeneralFailure},
		{ErrTokenRefused, ReplyGeneralFailure},
		{fmt.Errorf("%w (%w)", ErrNotMultipath, context.DeadlineExceeded), ReplyGeneralFailure},
		{&net.DNSError{IsNotFound: true}, ReplyHostUnreachable},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, ReplyHostUnreachable},
		{&net.DNSError{IsTimeout: true}, ReplyTTLExpired},
		{op(syscall.ECONNREFUSED), ReplyConnectionRefused},
		{op(syscall.EHOSTUNREACH), ReplyHostUnreachable},
		{op(syscall.EHOSTDOWN), ReplyHostUnreachable},
		{op(syscall.ENETUNREACH), ReplyNetworkUnreachable},
		{op(syscall.ENETDOWN), ReplyNetworkUnreachable},
		{op(syscall.EADDRNOTAVAIL), ReplyNetworkUnreachable},
		{op(syscall.ETIMEDOUT), ReplyTTLExpired},
		{op(syscall.EACCES), ReplyGeneralFailure},
		{os.ErrDeadlineExceeded, ReplyTTLExpired},
		{context.DeadlineExceeded, ReplyTTLExpired},
		{fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}), ReplyTTLExpired},
	} {
		if got := replyFor(tt.err); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestReplyString(t *testing.T) {
	for r, want := range map[Reply]string{
		ReplySucceeded: "succeeded", ReplyConnectionRefused: "connection refused",
		ReplyAddressTypeNotSupported: "address type not supported", 9: "reply 9", 255: "reply 255",
	} {
		if got := r.String(); got != want {
			t.Errorf("%d: got %q, want %q", uint8(r), got, want)
		}
	}
}
