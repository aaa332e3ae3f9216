package mptcpsock

import (
	"errors"
	"fmt"
)

// A FallbackReason says why a connection is plain TCP.
type FallbackReason uint8

const (
	// FallbackNone says that the connection is multipath.
	FallbackNone FallbackReason = iota
	// FallbackPeer says that the handshake came without MPTCP, or that the
	// connection lost it later: the peer does not speak it, a middlebox
	// strips it, or the local kernel left it out after such an experience
	// (net.mptcp.blackhole_timeout, Linux 6.12).
	FallbackPeer
	// FallbackNoKernelSupport says that the local kernel has no MPTCP.
	FallbackNoKernelSupport
	// FallbackDisabled says that net.mptcp.enabled is 0 in this network
	// namespace.
	FallbackDisabled
	// FallbackDenied says that a security policy denies MPTCP sockets.
	FallbackDenied
	// FallbackNotWanted says that the application did without MPTCP.
	FallbackNotWanted
)

var fallbackNames = [...]string{
	FallbackNone:            "multipath",
	FallbackPeer:            "peer or path without MPTCP",
	FallbackNoKernelSupport: "kernel without MPTCP",
	FallbackDisabled:        "MPTCP switched off (net.mptcp.enabled=0)",
	FallbackDenied:          "MPTCP denied by a security policy",
	FallbackNotWanted:       "MPTCP not wanted by the application",
}

// String says the reason in words.
func (r FallbackReason) String() string {
	if int(r) < len(fallbackNames) {
		return fallbackNames[r]
	}
	return fmt.Sprintf("FallbackReason(%d)", uint8(r))
}

// reasonOf maps an unavailable error to the reason that a Conn gives.
func reasonOf(err error) FallbackReason {
	switch {
	case err == nil:
		return FallbackNone
	case errors.Is(err, ErrDisabled):
		return FallbackDisabled
	case errors.Is(err, ErrDenied):
		return FallbackDenied
	}
	return FallbackNoKernelSupport
}
