// Package relay is the byte pump between two connections:
//
//	var c relay.Counters
//	end := func(res relay.Result) { log.Debug("connection ended", "reason", res.Reason, "sent", res.AToB) }
//	if res, over := relay.Run(ctx, app, leg, relay.Config{Parking: parking}, &c, end); over {
//		end(res)
//	}
//
// Run copies both ways, keeps half-closes in both directions, turns a reset on
// one side into a reset on the other, ends connections that are idle or too
// old, and closes both when it is over. Bytes in TCP and MPTCP sockets are
// moved on the descriptor itself: spliced, or copied through a large pooled
// buffer, whichever was measured to cost less for that direction (choose in
// method.go). TLS over a [RecordConn] is pumped in batches of records.
//
// A connection that waits holds its two sockets, two small goroutines and one
// timer, and nothing else: neither buffer nor pipe is taken before there is
// something to put into it, and both are given back before the next wait for
// the source. After two seconds without a byte it is parked in a [Parking], where it
// holds no goroutine either (park.go). What waits for a slow destination keeps
// what it holds, within limits for the whole process.
//
// The package does not dial, accept, authenticate or log, and sets no socket
// option but SO_LINGER, when it has to reset a connection, and keep-alive.
package relay

import (
	"time"
)

// Defaults of [Config].
const (
	// DefaultIdleTimeout is the least time that RFC 5382 REQ-5 asks a NAT to
	// keep an established connection.
	DefaultIdleTimeout = 2*time.Hour + 4*time.Minute
	// DefaultHalfCloseTimeout leaves time for an answer that is computed after
	// the request's end was seen.
	DefaultHalfCloseTimeout = 15 * time.Minute
	// DefaultMaxLifetime: a connection may live for as long as it is used.
	DefaultMaxLifetime = -1
)

// Config says how long a relayed connection may live. In each field zero means
// the default and a negative value means no limit.
type Config struct {
	// IdleTimeout is the longest time without a byte in either direction while
	// both directions are open.
	IdleTimeout time.Duration
	// HalfCloseTimeout takes the place of IdleTimeout when one direction has
	// ended. It, too, counts from the last byte (or from that end).
	HalfCloseTimeout time.Duration
	// MaxLifetime counts from Run's begin, used or not.
	MaxLifetime time.Duration
	// Parking is where the connection waits without goroutines while nothing moves; nil:
	// it keeps them.
	Parking *Parking
}

// orDefault returns d with the default filled in and 0 for "no limit".
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		d = def
	}
	return max(d, 0)
}
