package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Outcome is what became of a flow's request. Its numbers are the reply codes of
// RFC 1928 §6, in which it travels from the concentrator to the client. A code that
// is not known here travels unchanged to the application.
type Outcome uint8

// The reply codes of RFC 1928 §6.
const (
	Succeeded               Outcome = 0
	GeneralFailure          Outcome = 1
	NotAllowed              Outcome = 2
	NetworkUnreachable      Outcome = 3
	HostUnreachable         Outcome = 4
	ConnectionRefused       Outcome = 5
	TTLExpired              Outcome = 6 // also the answer to a dial that timed out
	CommandNotSupported     Outcome = 7
	AddressTypeNotSupported Outcome = 8
)

var outcomeNames = [...]string{
	"succeeded", "general failure", "not allowed by ruleset", "network unreachable", "host unreachable",
	"connection refused", "TTL expired", "command not supported", "address type not supported",
}

// String returns the wording of RFC 1928.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("reply %d", uint8(o))
}

// Limit says which limit of a concentrator refused a flow; 0: none did. It travels in a
// refusal as BND.PORT, which says nothing there (RFC 1928 §6) and which other clients leave
// alone.
type Limit uint16

// The limits of a concentrator.
const (
	LimitOfUser Limit = 1 // connections of this user
	LimitOfAll  Limit = 2 // connections of all users
)

// String says what is reached.
func (l Limit) String() string {
	switch l {
	case LimitOfUser:
		return "the limit of connections of this user is reached"
	case LimitOfAll:
		return "the limit of connections of all users is reached"
	}
	return fmt.Sprintf("limit %d is reached", uint16(l))
}

// Failure is an error that knows its Outcome.
type Failure struct {
	Outcome Outcome
	Err     error
	Limit   Limit // that was reached
}

// LimitOf returns the limit that err tells of, 0 for none.
func LimitOf(err error) Limit {
	var f *Failure
	if errors.As(err, &f) {
		return f.Limit
	}
	return 0
}

func (e *Failure) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Failure) Unwrap() error { return e.Err }

// OutcomeOf says which outcome tells the application best what err means. The
// outermost Failure in err decides, else the error of the network.
func OutcomeOf(err error) Outcome {
	var known *Failure
	var dns *net.DNSError
	switch {
	case err == nil:
		return Succeeded
	case errors.As(err, &known):
		return known.Outcome
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return TTLExpired
		}
		return HostUnreachable
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return HostUnreachable
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EADDRNOTAVAIL):
		return NetworkUnreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return TTLExpired
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return TTLExpired
	}
	return GeneralFailure
}
