package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Flow is one connection that an application asked for.
type Flow struct {
	To  Destination
	Who Identity
	// How is filled in by the rules. On the concentrator it holds the mode alone.
	How Choice
	// Resolve: the application wants to know an address of To and no connection. It is the
	// bound of Answer, with port 0.
	Resolve bool
	// Early are bytes that the application sent behind its request, before it had
	// an answer. They go to the destination first.
	Early []byte
	// Answer tells the application what became of its request. It is called once,
	// ahead of any byte of the destination's. bound is the address from which the
	// destination was reached (BND.ADDR in RFC 1928 §6); it may be invalid. A nil
	// Answer means that the way in has none.
	Answer func(o Outcome, bound netip.AddrPort) error
}

// Reply calls Answer if there is one.
func (f *Flow) Reply(o Outcome, bound netip.AddrPort) error {
	if f.Answer == nil {
		return nil
	}
	return f.Answer(o, bound)
}

// Destination is where an application wants to go: a name, which travels
// unresolved to the concentrator, or an address.
type Destination struct {
	Name string     // host name; empty when Addr is set
	Addr netip.Addr // unmapped; invalid when Name is set
	Port uint16
}

// String returns host:port, with brackets around an IPv6 address.
func (d Destination) String() string {
	return net.JoinHostPort(d.Host(), strconv.Itoa(int(d.Port)))
}

// Host returns the name or the address.
func (d Destination) Host() string {
	if d.Name != "" {
		return d.Name
	}
	return d.Addr.String()
}

// Identity is whom a peer authenticated as, and what it asked for.
type Identity struct {
	User string // empty on an open listener
	// Grant tells the secret that the user has shown from earlier and later ones of the
	// same name. It is no secret. Empty on the client.
	Grant string
	Mode  string // never empty: the authenticator fills in the default
	// Asked is set when the peer named the mode itself.
	Asked bool
	// LeaveSubflows is set on the concentrator for a client whose kernel makes the
	// subflows. It makes none again, so that the concentrator must close none.
	LeaveSubflows bool
}

// Choice is how a flow is carried.
type Choice struct {
	Mode  string   // name of a mode; never empty
	Paths []string // the only paths allowed, the preferred one first; empty: all, by rank
	Rule  string   // name of the rule that says so; empty: none does
}

// Errors of ways in, to be told apart with errors.Is.
var (
	// ErrAuthenticationFailed: the user is not known, or the secret is wrong.
	ErrAuthenticationFailed = errors.New("authentication failed")
	// ErrUserDisabled is an ErrAuthenticationFailed for a user whose secret was right.
	ErrUserDisabled = fmt.Errorf("%w: the user is disabled", ErrAuthenticationFailed)
	// ErrRevoked: the user was removed, disabled, or given another secret since the peer
	// has shown who it is.
	ErrRevoked error = &Failure{Outcome: NotAllowed, Err: errors.New("the user was removed, disabled or given another token")}
	// ErrUnverified: whoever knows the users cannot tell now. The peer may try again.
	ErrUnverified = errors.New("cannot tell now who the peer is")
	// ErrPeerLeft: the peer closed the connection before it asked for anything, at
	// once or after it had shown who it is (leg.Session.Check does).
	ErrPeerLeft = errors.New("peer left during the handshake")
)
