package leg

import (
	"net/netip"
	"time"

	"mpproxy/proxy"
)

// Paths is what is believed about the ways to the concentrator. The race for a leg's
// first subflow reads it, and writes what each leg met. Implementations are safe for
// concurrent use and do not block. See Ranking.
type Paths interface {
	// Order returns the candidates that a choice allows, the best first. It fails with
	// ErrNoPath if the choice allows none of those that are up. None at all, and no
	// error, leaves the way to the kernel's routing.
	Order(c proxy.Choice) ([]Candidate, error)
	// LeftAlone reports whether an address of the concentrator is to be tried over a
	// path only after all others.
	LeftAlone(path string, to netip.Addr) bool
	// Report tells what a leg over a path to an address met.
	Report(path string, to netip.Addr, r Result)
}

// Candidate is a path on which a leg can begin.
type Candidate struct {
	Path      string     // name of the path
	Source    netip.Addr // local address to bind; invalid: the kernel chooses
	Interface string     // device to bind, so that no rule or route leads elsewhere; empty: none
	Metered   bool
	Troubled  bool // subflows fail on it just now: no place to begin if there is another
	Ranked    bool // the user has said where it stands
	// RTT is its round trip as measured lately; 0: not known.
	RTT time.Duration

	// Order sets these two. Fit: a leg that began here is as good for the choice as a
	// new one. Unmeasured: it may be better than the first, which nobody has measured
	// either, and is tried soon after it.
	Fit, Unmeasured bool
	// Alone: a leg that begins here gets its other paths when a flow has use for them.
	Alone bool
}

// Result is what a leg met on its way.
type Result uint8

// The results, from the first step of a leg to the last. Overtaken, Silent and Refused
// are about the TCP handshake; Connected says that it succeeded. The others follow
// Connected, and are about the whole chain.
const (
	Overtaken  Result = iota // another way that was tried later answered first
	Silent                   // nothing came until the deadline
	Refused                  // the network or the host said no
	Connected                // somebody answered; who, is not known yet
	Stripped                 // it came up as plain TCP
	Stalled                  // then nothing came until the deadline
	ForeignKey               // somebody answered with a key other than the link's
	Broken                   // TLS or SOCKS failed in another manner
	Fine                     // the concentrator has answered and accepted the token
)

var resultNames = [...]string{"overtaken", "silent", "refused", "connected", "stripped of MPTCP", "stalled", "foreign key", "broken", "fine"}

// String returns the result in words.
func (r Result) String() string { return resultNames[r] }

var explanations = [...]string{
	Overtaken:  "other ways to the concentrator answer sooner",
	Silent:     "the concentrator does not answer over it",
	Refused:    "connections to the concentrator are refused over it",
	Stripped:   "MPTCP is stripped on the way",
	Stalled:    "somebody answers TCP's handshake and nothing else (a captive portal?)",
	ForeignKey: "somebody else's key is shown in place of the concentrator's (a captive portal?)",
	Broken:     "somebody answers who is not the concentrator (a captive portal?)",
	Fine:       "",
}

// Explain says to people what a result means for its path; empty if all is well.
func (r Result) Explain() string { return explanations[r] }
