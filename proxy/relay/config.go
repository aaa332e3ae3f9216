package relay

import "time"

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
	// Lot is where the connection waits without goroutines while nothing moves; nil:
	// it keeps them.
	Lot *Lot
}

// orDefault returns d with the default filled in and 0 for "no limit".
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		d = def
	}
	return max(d, 0)
}
