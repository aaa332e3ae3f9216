package relay

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Reason says why a relayed connection ended.
type Reason uint8

// Reasons.
const (
	// BothEnded: each side sent its end of data, and the other side got it.
	BothEnded Reason = iota + 1
	// IdleTimeout: no byte for [Config].IdleTimeout.
	IdleTimeout
	// HalfCloseTimeout: one direction had ended, and the other moved no byte
	// for [Config].HalfCloseTimeout.
	HalfCloseTimeout
	// Lifetime: [Config].MaxLifetime is over.
	Lifetime
	// ReadErrorA and ReadErrorB: reading from that side failed, mostly because
	// its peer reset the connection.
	ReadErrorA
	ReadErrorB
	// WriteErrorA and WriteErrorB: writing to that side failed.
	WriteErrorA
	WriteErrorB
	// Cancelled: Run's context ended.
	Cancelled
)

var reasonNames = [...]string{
	BothEnded:        "both ends closed",
	IdleTimeout:      "idle timeout",
	HalfCloseTimeout: "half-close timeout",
	Lifetime:         "lifetime over",
	ReadErrorA:       "read error on a",
	ReadErrorB:       "read error on b",
	WriteErrorA:      "write error on a",
	WriteErrorB:      "write error on b",
	Cancelled:        "cancelled",
}

func (r Reason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Result is what Run did. In every case but [BothEnded] both connections were
// reset, so that neither peer can take what it got for the whole.
type Result struct {
	AToB, BToA uint64 // payload bytes delivered each way
	Reason     Reason
	// Err is nil for BothEnded and otherwise what ended the connection:
	// an *[Error] for read and write errors, context.Cause(ctx) when
	// cancelled, and an error that is os.ErrDeadlineExceeded for timeouts.
	Err error
	// Kept: the framed connection was left open, and [Framed.Next] begins
	// another stream on it. Otherwise both connections are closed.
	Kept bool
}

// Error is a failed operation on one of the two connections. It unwraps to
// what the socket said: errors.Is(err, syscall.ECONNRESET) and the like work.
type Error struct {
	Op   string // "read", "write" or "close write"
	Side string // "a" or "b"
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("relay: %s on %s: %v", e.Op, e.Side, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// epoch turns monotonic readings into small integers: wall-clock steps (a
// gateway that gets its time late) must not look like idleness.
var epoch = time.Now()

// stamp is the time now in nanoseconds since epoch.
func stamp() int64 { return int64(time.Since(epoch)) }

// Counters are the live numbers of one connection. They may be read at any
// time, also while and after Run uses them; the zero value is ready. A byte
// counts once the destination's socket has taken it (with TLS: once the whole
// batch of records has been handed to the socket).
type Counters struct {
	AToB atomic.Uint64 // payload bytes read from a and written to b
	BToA atomic.Uint64 // payload bytes read from b and written to a

	last atomic.Int64 // stamp of the last byte, 0: never
}

// LastActive is when the last byte was moved or, before the first one, when
// Run began. It is the zero time when Run has not begun.
func (c *Counters) LastActive() time.Time {
	last := c.last.Load()
	if last == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(last))
}
