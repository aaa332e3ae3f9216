// Package status is the picture of a running program that `status` shows and
// the admin API serves as JSON: the server and the paths of a client, what a
// concentrator listens on, each connection and its subflows, and what is missing
// on this host. It holds values and their rendering only; package collect
// assembles them.
package status

import (
	"net/netip"
	"time"
)

// The programs, as Status.Program names them.
const (
	Client       = "mpproxy-client"
	Concentrator = "mpproxy-server"
)

// Status is one snapshot. Names of JSON fields carry their units.
type Status struct {
	Program string    `json:"program"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Taken   time.Time `json:"taken"`
	Socks   []string  `json:"socks_listen,omitempty"` // of a client
	Mode    string    `json:"default_mode"`

	Server   Server   `json:"server,omitzero"`    // of a client
	Listen   []string `json:"listen,omitempty"`   // of a concentrator
	Security string   `json:"security,omitempty"` // of a concentrator: "tls" or "none"

	PathManager PathManager  `json:"path_manager"`
	Paths       []Path       `json:"paths"` // a concentrator has none
	Connections []Connection `json:"connections"`
	Totals      Totals       `json:"totals"`
	// Missing lists what this host lacks, and what to do about it.
	Missing []Missing `json:"missing"`
	// Notices tell what else on this host has a say about subflows.
	Notices []Notice `json:"notices"`
	// Changed lists what mpproxy has changed on this host, until it stops.
	Changed []Change `json:"changed,omitempty"`
}

// Server is the concentrator as the client sees it.
type Server struct {
	Address  string    `json:"address"`
	Name     string    `json:"name,omitempty"` // the link's #NAME
	User     string    `json:"user,omitempty"`
	Security string    `json:"security"` // "tls" or "none"
	State    string    `json:"state"`    // "ok", "unreachable", "wrong pin", "token refused", …
	Since    time.Time `json:"since,omitzero"`
	LastOK   time.Time `json:"last_ok,omitzero"`
	Error    string    `json:"error,omitempty"`
	Advice   string    `json:"advice,omitempty"`
	// PlainTCP says over which path, and why, the last leg was plain TCP;
	// empty when it was MPTCP.
	PlainTCP string `json:"plain_tcp,omitempty"`
}

// PathManager says who creates subflows, and whether it can.
type PathManager struct {
	Backend       string `json:"backend"`            // "kernel" or "userspace": who makes the subflows now
	Timeouts      string `json:"timeouts,omitempty"` // how timeouts are noticed; with "userspace"
	EventGaps     uint64 `json:"event_gaps"`         // times that events of the kernel were lost; with "userspace"
	Endpoints     int    `json:"endpoints"`
	Active        bool   `json:"active"`
	SourceRouting bool   `json:"source_routing"`
}

// Path is one way to the Internet.
type Path struct {
	Name      string   `json:"name"`
	Interface string   `json:"interface"`
	Rank      int      `json:"rank"`
	Metered   bool     `json:"metered"`
	State     string   `json:"state"`
	Reason    string   `json:"reason,omitempty"`
	Warning   string   `json:"warning,omitempty"`
	Addresses []string `json:"addresses"`
	RTTMillis float64  `json:"rtt_ms,omitempty"` // of connections and probes lately; 0: not known
	Trouble   *Trouble `json:"trouble,omitempty"`
	// BestReceive and BestSend are the most that one subflow of ours carried here
	// within ten minutes; 0: not known.
	BestReceive uint64 `json:"best_receive_bits_per_second,omitempty"`
	BestSend    uint64 `json:"best_send_bits_per_second,omitempty"`
	// LossShare is the share of segments that one of our subflows last had to send again
	// here, 0 to 1, within ten minutes; 0: none, or not known.
	LossShare float64 `json:"loss_share,omitempty"`
	// SignalDBm is the strength of a Wi-Fi signal, 0 when there is none; Weak:
	// it is below min_signal, and the path ranks behind the others.
	SignalDBm int  `json:"signal_dbm,omitempty"`
	Weak      bool `json:"weak,omitempty"`
	// Counters and rates are those of the interface, with all its traffic.
	ReceivedBytes uint64 `json:"received_bytes"`
	SentBytes     uint64 `json:"sent_bytes"`
	ReceiveRate   uint64 `json:"receive_bits_per_second"`
	SendRate      uint64 `json:"send_bits_per_second"`
}

// Trouble is what keeps a path from being used, or did so until it may be tried again.
type Trouble struct {
	Kind     string    `json:"kind"`     // "timeout", "poor", "join refused" …
	Reason   string    `json:"reason"`   // what was seen
	Failures int       `json:"failures"` // in a row
	Since    time.Time `json:"since"`    // the first of them
	// LeftAloneSeconds is for how long nobody tries the path; 0: it may be tried.
	LeftAloneSeconds float64 `json:"left_alone_seconds"`
	// Unproven says that the path must answer several probes in a row first.
	Unproven bool `json:"unproven"`
}

// Connection is one relayed connection.
type Connection struct {
	ID            uint64    `json:"id"`
	Destination   string    `json:"destination"`
	User          string    `json:"user,omitempty"`
	Peer          string    `json:"peer,omitempty"` // address of the application, on a concentrator of the client
	Mode          string    `json:"mode"`
	Rule          string    `json:"rule,omitempty"` // the one that held for it
	Opened        time.Time `json:"opened"`
	Protocol      string    `json:"protocol"` // "mptcp" or "tcp"
	FellBack      string    `json:"fell_back,omitempty"`
	Token         string    `json:"token,omitempty"`
	SentBytes     uint64    `json:"sent_bytes"`     // from application to destination
	ReceivedBytes uint64    `json:"received_bytes"` // from destination to application
	Subflows      []Subflow `json:"subflows"`
	// Decision is the last one of mpproxy's controller, with its reason.
	Decision string `json:"decision,omitempty"`
}

// Subflow is one TCP connection under a connection.
type Subflow struct {
	Path          string         `json:"path"`
	Local         netip.AddrPort `json:"local"`
	Remote        netip.AddrPort `json:"remote"`
	RTTMillis     float64        `json:"rtt_ms"`
	SentBytes     uint64         `json:"sent_bytes"`
	ReceivedBytes uint64         `json:"received_bytes"`
	Retransmitted uint64         `json:"retransmitted_bytes"`
	RTOMillis     float64        `json:"rto_ms"`
	Backup        bool           `json:"backup"` // flagged so by either end; known with path manager "userspace" only
	// Rates, and the share of the bytes sent that were sent again, 0 to 1, are of
	// the interval that the request asked for; 0 without one. Sent bytes and rates
	// are those of this host's sending, retransmissions included.
	ReceiveRate uint64  `json:"receive_bits_per_second"`
	SendRate    uint64  `json:"send_bits_per_second"`
	LossRatio   float64 `json:"loss_ratio"`
}

// Totals count since the client started.
type Totals struct {
	Connections uint64 `json:"connections"`
	Live        int    `json:"live"`
	Refused     uint64 `json:"refused"`
	Failed      uint64 `json:"failed"`
	FellBack    uint64 `json:"fell_back"`
	Reused      uint64 `json:"reused_leg"` // connections on a leg that was there already
	// AnsweredWrongly counts applications that were told that they are connected, and reset.
	AnsweredWrongly uint64 `json:"answered_wrongly,omitempty"`
	AuthFailures    uint64 `json:"auth_failures"`
}

// Missing is one thing that this host lacks.
type Missing struct {
	What   string `json:"what"`
	Effect string `json:"effect"`
	Advice string `json:"advice"`
}

// Change is one thing that mpproxys of this network namespace have changed.
type Change struct {
	What   string `json:"what"`   // the name of a sysctl, or "endpoint limits" and the like
	Before string `json:"before"` // empty: there was nothing
	Set    string `json:"set"`
	Now    string `json:"now"` // other than Set: somebody else has changed it since
}

// Notice is one thing that others do on this host.
type Notice struct {
	Kind   string `json:"kind"` // "endpoints", "decider", "path-manager" or "rp-filter"
	What   string `json:"what"`
	Effect string `json:"effect"`
	Advice string `json:"advice"`
}
