package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Reply is a SOCKS5 reply code (RFC 1928 §6). The concentrator's reply travels
// unchanged to the application, so that it learns what really happened.
type Reply uint8

// The reply codes of RFC 1928 §6.
const (
	ReplySucceeded               Reply = 0
	ReplyGeneralFailure          Reply = 1
	ReplyNotAllowed              Reply = 2
	ReplyNetworkUnreachable      Reply = 3
	ReplyHostUnreachable         Reply = 4
	ReplyConnectionRefused       Reply = 5
	ReplyTTLExpired              Reply = 6 // also the answer to a dial that timed out
	ReplyCommandNotSupported     Reply = 7
	ReplyAddressTypeNotSupported Reply = 8
)

var replyNames = [...]string{
	"succeeded", "general failure", "not allowed by ruleset", "network unreachable", "host unreachable",
	"connection refused", "TTL expired", "command not supported", "address type not supported",
}

// String returns the wording of RFC 1928.
func (r Reply) String() string {
	if int(r) < len(replyNames) {
		return replyNames[r]
	}
	return fmt.Sprintf("reply %d", uint8(r))
}

// replyError carries the reply code that an error is to be answered with.
type replyError struct {
	reply Reply
	err   error
}

func (e *replyError) Error() string { return e.err.Error() }
func (e *replyError) Unwrap() error { return e.err }

// replyFor says which reply code tells the peer best what err means.
func replyFor(err error) Reply {
	var coded *replyError
	var dns *net.DNSError
	switch {
	case err == nil:
		return ReplySucceeded
	case errors.As(err, &coded):
		return coded.reply
	case errors.Is(err, ErrDestinationRefused):
		return ReplyNotAllowed
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrNoPath):
		return ReplyNetworkUnreachable
	case errors.Is(err, ErrPinMismatch), errors.Is(err, ErrTokenRefused), errors.Is(err, ErrNotMultipath):
		return ReplyGeneralFailure
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return ReplyTTLExpired
		}
		return ReplyHostUnreachable
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReplyConnectionRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return ReplyHostUnreachable
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EADDRNOTAVAIL):
		return ReplyNetworkUnreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return ReplyTTLExpired
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return ReplyTTLExpired
	}
	return ReplyGeneralFailure
}
