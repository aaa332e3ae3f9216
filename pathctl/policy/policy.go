// Package policy holds the pure decisions of the subflow controller: which
// subflows a connection should have, which of them are backup, and why.
//
//	plan, memory := policy.Decide(conn, paths, memory)
//	for _, d := range plan.Drop { destroy(d.ID); if d.Cause == policy.Failed { backOff(d.Path) } }
//	for _, k := range plan.Keep { setPriority(k.ID, k.Backup) }
//	for _, c := range plan.Create { create(c.Path, c.Backup) }
//	askAgainIn(plan.Look)
//
// Values go in and values come out: a recorded sequence of Conn and []Path
// replays to the same plans. Package mode has one file for each mode and
// registers it; mode.go says what a mode is, numbers.go names the numbers that all
// have.
//
// It is pure: it has no clock (Conn.Age is the time) and
// does not know the kernel: what a plan asks for is done, and repeated when it
// fails, by package engine.
package policy

import (
	"fmt"
	"time"

	"mpproxy/pathctl/reason"
)

// Role says which end of the connections this controller is.
type Role uint8

// The two ends. Only the client knows paths and creates subflows; both see
// when their own sending stalls.
const (
	Client Role = iota
	Concentrator
)

func (r Role) String() string {
	if r == Concentrator {
		return "concentrator"
	}
	return "client"
}

// Conn is what a policy sees of one connection, at one moment.
type Conn struct {
	Role Role
	// Mode is a built-in mode; of a mode that a user defined it is the base.
	Mode Mode
	// Params are the mode's numbers. The zero value stands for
	// DefaultParams(Mode).
	Params Params
	// Age is the time since the connection was established: the clock of all
	// decisions. It never runs backwards.
	Age time.Duration
	// Sent and Received count payload bytes that were acknowledged, and that
	// arrived in order.
	Sent, Received uint64
	// Pending counts payload bytes that the application has written and the
	// peer has not acknowledged (mptcpi_write_seq − mptcpi_snd_una).
	Pending  uint64
	Subflows []Subflow
	// CannotJoin is set when the peer takes no further subflows (RFC 8684
	// §3.1; the C flag of its first address alone is no obstacle).
	CannotJoin bool
	// Prefer lists the paths that a rule allows, the preferred one first. Empty
	// means all, by rank.
	Prefer []string
}

// SubflowID names a subflow for as long as the controller knows it. No two
// subflows of a connection share one.
type SubflowID uint32

// Subflow is what a policy sees of one subflow. Times are those of our own
// sending: a receiver learns nothing of losses on its side.
type Subflow struct {
	ID      SubflowID
	Path    string // on the concentrator: the client's address; "" when unknown
	Initial bool   // it is the one that the connection began with
	// Backup and PeerBackup say which end has flagged it backup (RFC 8684
	// §3.3.8). The scheduler treats it as backup when either has; a plan is
	// about our own flag.
	Backup, PeerBackup bool
	// Established is false from the request to create it until the peer's
	// answer.
	Established bool
	Age         time.Duration // since it was established, before that since it was requested
	// UsedAgo is how long ago it was established, or, if that was later, our
	// backup flag was taken from it.
	UsedAgo time.Duration

	RTT, RTTVar, MinRTT time.Duration // smoothed, its variation (tcpi_rttvar), the least; 0 when unknown
	RTO                 time.Duration // with its back-off
	Backoff             int           // how often the timer was doubled
	// Stalled is how long data has been in flight without any of it being
	// acknowledged, selectively or not; 0 while nothing is in flight.
	Stalled time.Duration
	// Unacked is the number of segments in flight (tcpi_unacked); 0 with
	// Stalled > 0 means that it is not known.
	Unacked int
	// Young is how many of them, and of Timeouts, tell nothing yet: they may have
	// been sent within the last round trip and twice its variation, or wait to be
	// sent again.
	Young int
	// Timeouts counts expirations of the retransmission timer since the last
	// acknowledged byte.
	Timeouts int
	// KeepAlives counts the kernel's requests for a sign of life that nobody has
	// answered.
	KeepAlives int `json:",omitempty"`
	// LossRate is the share of segments sent again in the last window, 0 to
	// 1, without those that the peer reported as duplicates (DSACK) and
	// without the losses of slow start. LossKnown says that enough was sent to
	// tell: 100 segments, or 30 in two seconds.
	LossRate  float64
	LossKnown bool
	// LossFloor is the least of the loss rates of the last four quarters of a
	// second, when FloorKnown: a queue that overflows now and then leaves it
	// low.
	LossFloor  float64
	FloorKnown bool
	// FreshLoss is LossRate of the window that is still open, in which Fresh
	// segments were sent so far.
	FreshLoss float64
	Fresh     int
	// Starting says that it still looks for its rate (slow start): what it
	// loses now may be its own queue's.
	Starting bool
	// Share is how much got through in the last second, selectively
	// acknowledged or not, beside the best second of the last half minute: 0 to
	// 1; 0 until three seconds are known.
	Share float64
	// Delivery is the rate of acknowledged bytes in the last window, in bytes
	// a second; Pacing is the kernel's pacing rate.
	Delivery, Pacing uint64
	// Arrival is the rate of arriving payload in the last window in which any
	// arrived, in bytes a second; Quiet is how long ago the last of it came
	// (tcpi_last_data_recv).
	Arrival        uint64
	Quiet          time.Duration
	Sent, Received uint64 // bytes over the subflow's life
	Busy           bool   // it carried data in the last window, either way
}

// Path is one of the client's ways to the Internet.
type Path struct {
	Name    string
	Rank    int // from 1, the best
	Metered bool
	Up      bool
	// UpFor is how long it has been up.
	UpFor time.Duration
	// RTT is the smoothed round-trip time that connections and probes measured
	// on it, the last of them RTTAge ago; 0 when unknown.
	RTT, RTTAge time.Duration
	// Silent is how long probes on it have been unanswered, counted from the
	// first of at least two; 0 when the last one was answered or none was sent.
	Silent time.Duration
	// Answered is how long ago a probe was last answered; 0 means never.
	Answered time.Duration
	// Heard is how long ago anybody got an answer on it: a probe, or a subflow of any
	// connection; 0 means never.
	Heard time.Duration `json:",omitempty"`
	// Retry is how long the path is to be left alone after a subflow on it
	// failed; 0 when it may be used.
	Retry time.Duration
	// Unproven says that subflows on it have worked badly, and nothing shows that it
	// has become better: it is for emergencies.
	Unproven bool
}

// Plan is what should be. Each subflow of the connection is either in Keep or
// in Drop.
type Plan struct {
	Keep   []Keep
	Drop   []Drop
	Create []Create
	// Probe names paths of which too little is known: those that may have died
	// without our sending being able to show it, because data stopped arriving
	// in full flow, and those whose round trip nobody measures while they carry
	// nothing. Asking the concentrator for any answer over the path tells
	// (Path.Silent, Path.RTT).
	Probe []string
	// Prod asks for a sign of life of each subflow (Subflow.KeepAlives): data stopped
	// arriving, and the path's answer to a probe does not tell whether the subflow works.
	Prod bool `json:",omitempty"`
	// Look says when to ask again at the latest; 0 means only when something
	// happens. It is never below 10 ms otherwise.
	Look time.Duration
}

// Keep is a subflow that should exist, with our priority for it. The reason is given
// when the priority changes.
type Keep struct {
	ID     SubflowID
	Backup bool
	Reason reason.Reason `json:"Why"`
}

// Drop is a subflow that should be destroyed. That makes the kernel send its
// unacknowledged data on another one at once.
type Drop struct {
	ID     SubflowID
	Path   string
	Cause  Cause
	Reason reason.Reason `json:"Why"`
}

// Cause says what a subflow is dropped for. Only after Failed does its path
// need a back-off.
type Cause uint8

// The causes.
const (
	Failed    Cause = iota // it does not carry data as it should
	PathDown               // its path is down, gone or not allowed by the rule
	Unneeded               // the mode has no use for it
	Replaced               // another one on the same path takes its place
	Forgotten              // its path works, and something on the way does not know it any more
)

// Broken reports whether the subflow cannot carry data any more.
func (c Cause) Broken() bool { return c == Failed || c == PathDown || c == Forgotten }

func (c Cause) String() string {
	switch c {
	case Failed:
		return "failed"
	case PathDown:
		return "path-down"
	case Unneeded:
		return "unneeded"
	case Replaced:
		return "replaced"
	case Forgotten:
		return "forgotten"
	}
	return "unknown"
}

// MarshalText makes traces readable.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (c *Cause) UnmarshalText(text []byte) error {
	for k := Failed; k <= Forgotten; k++ {
		if k.String() == string(text) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("unknown cause %q", text)
}

// Create is a subflow that should come into being. In modes with several
// subflows on a path it is listed once for each.
type Create struct {
	Path   string
	Backup bool
	Reason reason.Reason `json:"Why"`
}

// MinLook bounds how often a policy asks to be called: below it the caller
// would do nothing else.
const MinLook = 10 * time.Millisecond
