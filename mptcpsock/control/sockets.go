package control

import "mpproxy/mptcpsock"

// Types of package mptcpsock that this package's calls take and return, so that
// a program needs one import.
type (
	Pair             = mptcpsock.Pair
	Subflow          = mptcpsock.Subflow
	SubStatus        = mptcpsock.SubStatus
	SubflowEvent     = mptcpsock.SubflowEvent
	SubflowEventKind = mptcpsock.SubflowEventKind
	Stats            = mptcpsock.Stats
	SubflowStats     = mptcpsock.SubflowStats
	FallbackReason   = mptcpsock.FallbackReason
	OpError          = mptcpsock.OpError
)

// The kinds of events.
const (
	SubflowEstablished = mptcpsock.SubflowEstablished
	SubflowClosed      = mptcpsock.SubflowClosed
	SubflowPriority    = mptcpsock.SubflowPriority
	AddressAnnounced   = mptcpsock.AddressAnnounced
	AddressRemoved     = mptcpsock.AddressRemoved
)

// Errors of package mptcpsock that this package's calls give.
var (
	ErrNotSupported     = mptcpsock.ErrNotSupported
	ErrNotMultipath     = mptcpsock.ErrNotMultipath
	ErrConnected        = mptcpsock.ErrConnected
	ErrUnknownSubflow   = mptcpsock.ErrUnknownSubflow
	ErrAddressFamily    = mptcpsock.ErrAddressFamily
	ErrInvalid          = mptcpsock.ErrInvalid
	ErrSubflowsChanging = mptcpsock.ErrSubflowsChanging
)
