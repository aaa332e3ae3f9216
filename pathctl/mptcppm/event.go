package mptcppm

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"mpproxy/mptcpsock/uapi"
)

// EventKind says what happened: enum mptcp_event_type.
type EventKind uint8

// The kernel's events. A number that is not among them is delivered as it is:
// Known tells, and String gives "event-N".
const (
	// EventCreated: a connection exists, its third handshake packet is still to
	// come or to be acknowledged.
	EventCreated EventKind = 1
	// EventEstablished: a connection may have further subflows from now on.
	EventEstablished EventKind = 2
	// EventClosed: a connection is gone; only Token is set.
	EventClosed EventKind = 3
	// EventAnnounced: the peer announced Remote under RemoteID (ADD_ADDR).
	EventAnnounced EventKind = 6
	// EventRemoved: the peer took RemoteID back (RM_ADDR).
	EventRemoved EventKind = 7
	// EventSubflowEstablished: a further subflow is up.
	EventSubflowEstablished EventKind = 10
	// EventSubflowClosed: a subflow is gone; Errno and ResetReason say why, as
	// far as the kernel knows.
	EventSubflowClosed EventKind = 11
	// EventSubflowPriority: the peer changed the subflow's priority (MP_PRIO);
	// Backup is the new one.
	EventSubflowPriority EventKind = 13
	// EventListenerCreated: a listening MPTCP socket exists (Linux 6.2); Local is
	// set, and no Token.
	EventListenerCreated EventKind = 15
	// EventListenerClosed: a listening MPTCP socket is gone (Linux 6.2).
	EventListenerClosed EventKind = 16
)

var kindNames = map[EventKind]string{
	EventCreated:            "created",
	EventEstablished:        "established",
	EventClosed:             "closed",
	EventAnnounced:          "announced",
	EventRemoved:            "removed",
	EventSubflowEstablished: "subflow-established",
	EventSubflowClosed:      "subflow-closed",
	EventSubflowPriority:    "subflow-priority",
	EventListenerCreated:    "listener-created",
	EventListenerClosed:     "listener-closed",
}

// Known reports whether this package has a name for the kind.
func (k EventKind) Known() bool {
	_, ok := kindNames[k]
	return ok
}

// String names the kind.
func (k EventKind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("event-%d", uint8(k))
}

// Fields is the set of attributes that an event carried: some of their zero
// values mean something (address id 0 is the first address of a connection).
type Fields uint32

// One bit for each attribute, at the attribute's number.
const (
	HasToken       Fields = 1 << evToken
	HasLocalID     Fields = 1 << evLocID
	HasRemoteID    Fields = 1 << evRemID
	HasLocalAddr   Fields = 1<<evSAddr4 | 1<<evSAddr6
	HasRemoteAddr  Fields = 1<<evDAddr4 | 1<<evDAddr6
	HasLocalPort   Fields = 1 << evSPort
	HasRemotePort  Fields = 1 << evDPort
	HasBackup      Fields = 1 << evBackup
	HasErrno       Fields = 1 << evError
	HasFlags       Fields = 1 << evFlags
	HasTimeout     Fields = 1 << evTimeout
	HasIfIndex     Fields = 1 << evIfIndex
	HasResetReason Fields = 1 << evResetReason
	HasResetFlags  Fields = 1 << evResetFlags
	HasServerSide  Fields = 1 << evServerSide
)

// EventFlags is the flag word of EventCreated and EventEstablished.
type EventFlags uint16

// Known event flags.
const (
	// EventDenyJoinID0: the peer takes no further subflows to the address and
	// port of the first one (RFC 8684 section 3.1, flag C).
	EventDenyJoinID0 EventFlags = 1 << 0
	// EventServerSide: the connection was accepted here (Linux 6.18; older
	// kernels say it with an attribute of its own: see Event.ServerSide).
	EventServerSide EventFlags = 1 << 1
)

// Event is one message of the mptcp_pm_events group.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// Fields says which of the following the kernel sent.
	Fields Fields
	// Token identifies the connection in this network namespace.
	Token uapi.Token
	// LocalID and RemoteID are the address ids of the subflow's ends.
	LocalID, RemoteID uapi.AddrID
	// Local and Remote are the subflow's ends as the kernel has them: an IPv4
	// connection of an IPv6 socket shows v4-mapped addresses, and commands about
	// this subflow want them so. Unmap them for comparison with a path's address.
	// A Remote without port (EventAnnounced) has port 0.
	Local, Remote netip.AddrPort
	// Backup is the subflow's priority, of either end.
	Backup bool
	// Errno is the error of a closed subflow, 0 for none.
	Errno syscall.Errno
	// ServerSide reports that the connection was accepted here.
	ServerSide bool
	// Flags of the connection.
	Flags EventFlags
	// Timeout is MPTCP_ATTR_TIMEOUT, which no upstream kernel sends.
	Timeout uint32
	// IfIndex is the interface that the subflow is bound to, 0 for none.
	IfIndex int
	// ResetReason and ResetFlags are those of a received or sent MP_TCPRST
	// option (RFC 8684 section 3.6). They count only if Fields has them.
	ResetReason ResetReason
	ResetFlags  uint32
}

// Has reports whether the kernel sent one of the given fields.
func (e Event) Has(f Fields) bool { return e.Fields&f != 0 }

// DenyJoinID0 reports that the peer takes no further subflows to the address of
// the first one.
func (e Event) DenyJoinID0() bool { return e.Flags&EventDenyJoinID0 != 0 }

// String is a line for a log, with what the event carries.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	for _, part := range []struct {
		has  bool
		text func() string
	}{
		{e.Has(HasToken), func() string { return "token=" + e.Token.String() }},
		{e.Has(HasLocalID), func() string { return fmt.Sprintf("local-id=%d", e.LocalID) }},
		{e.Has(HasRemoteID), func() string { return fmt.Sprintf("remote-id=%d", e.RemoteID) }},
		{e.Has(HasLocalAddr), func() string { return "local=" + e.Local.String() }},
		{e.Has(HasRemoteAddr), func() string { return "remote=" + e.Remote.String() }},
		{e.Has(HasBackup), func() string { return fmt.Sprintf("backup=%t", e.Backup) }},
		{e.Has(HasErrno), func() string { return fmt.Sprintf("error=%q", e.Errno.Error()) }},
		{e.Has(HasResetReason), func() string { return "reset=" + e.ResetReason.String() }},
		{e.ServerSide, func() string { return "server-side" }},
		{e.DenyJoinID0(), func() string { return "deny-join-id0" }},
		{e.Has(HasIfIndex), func() string { return fmt.Sprintf("if=%d", e.IfIndex) }},
	} {
		if part.has {
			b.WriteByte(' ')
			b.WriteString(part.text())
		}
	}
	return b.String()
}

// ResetReason is the reason code of an MP_TCPRST option, RFC 8684 section 3.6.
type ResetReason uint32

// The reasons of RFC 8684.
const (
	ResetUnspecified       ResetReason = 0
	ResetMPTCPError        ResetReason = 1
	ResetNoResources       ResetReason = 2
	ResetProhibited        ResetReason = 3
	ResetTooMuchData       ResetReason = 4
	ResetBadPerformance    ResetReason = 5
	ResetMiddleboxDetected ResetReason = 6
)

var resetNames = [...]string{
	"unspecified", "mptcp-error", "no-resources", "prohibited",
	"too-much-data", "bad-performance", "middlebox",
}

// String names the reason; an unknown one gives "reason-N".
func (r ResetReason) String() string {
	if int64(r) < int64(len(resetNames)) {
		return resetNames[r]
	}
	return fmt.Sprintf("reason-%d", uint32(r))
}
