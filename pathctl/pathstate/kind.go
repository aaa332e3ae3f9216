package pathstate

import "time"

// Kind is what is wrong with a path.
type Kind uint8

// The kinds of trouble.
const (
	Reset          Kind = iota // an established subflow was reset, or could not be made here
	Unreachable                // the network says that there is no way
	Dark                       // nothing is answered any more
	Lossy                      // it works, but loses or delays too much
	JoinRefused                // the peer, or a middlebox, answers MP_JOIN with a reset
	JoinUnanswered             // nobody answers MP_JOIN: the path is dark, or swallows it
	Overtaken                  // legs over other ways are answered sooner
	Unreached                  // no leg gets an answer to its handshake
	Stripped                   // a middlebox takes MPTCP out of the handshake
	Captive                    // the handshake is answered, but not by the concentrator
	kinds
)

// Kinds returns every kind.
func Kinds() []Kind {
	out := make([]Kind, kinds)
	for k := range out {
		out[k] = Kind(k)
	}
	return out
}

// String returns a word or two that can be read in a sentence.
func (k Kind) String() string { return table[k].name }

// Backoff returns how long a path is left alone after the first trouble of the kind,
// and the longest after many. Each further one doubles it.
func (k Kind) Backoff() (first, longest time.Duration) { return table[k].first, table[k].longest }

// DisprovedBy reports whether the evidence shows that the trouble is over.
func (k Kind) DisprovedBy(e Evidence) bool { return table[k].over&(1<<e) != 0 }

// Evidence is what shows that a path works, as far as it shows it.
type Evidence uint8

// The kinds of evidence, the weakest first.
const (
	// Requalified: RequalifyProbes bare TCP handshakes in a row were answered. One
	// alone disproves nothing: portals and middleboxes answer it as well. It ends the
	// wait of a path that was silent, which then has to requalify (State.Unproven).
	Requalified Evidence = iota
	// Connected: the TCP handshake of a leg was answered.
	Connected
	// Established: a subflow joined.
	Established
	// Authenticated: the concentrator has answered a whole leg, over MPTCP.
	Authenticated
)

// table holds what tells the kinds apart.
var table = [kinds]struct {
	name string
	// first and longest bound the back-off.
	first, longest time.Duration
	// over is the set of evidence that disproves the trouble.
	over uint8
	// sought says that bare handshakes look for the end of the trouble. The first that
	// is answered ends the back-off, after which the path has to requalify; but when
	// the trouble comes again, only one that is answered after a silence does.
	sought bool
}{
	// A reset is answered soon, an unreachable destination later, a timeout latest
	// (SMAPP section 4.1). Their longest keeps a path that works again from being
	// unused for more than ten seconds.
	Reset:       {"reset", 500 * time.Millisecond, 8 * time.Second, 1<<Established | 1<<Authenticated, false},
	Unreachable: {"unreachable", time.Second, 8 * time.Second, 1<<Requalified | 1<<Established | 1<<Authenticated, true},
	Dark:        {"timeout", 2 * time.Second, 8 * time.Second, 1<<Requalified | 1<<Established | 1<<Authenticated, true},
	// A bad path carries handshakes as often as not, and a connection that joins it
	// waits for what it loses there: it is left alone longer each time, and one
	// subflow that joins proves nothing.
	Lossy: {"poor", 3 * time.Second, time.Minute, 1 << Requalified, false},
	// Whoever refuses joins goes on with it: two minutes bound what asking again
	// costs to 30 SYNs an hour.
	JoinRefused: {"join refused", time.Second, 2 * time.Minute, 1 << Established, false},
	// As Dark at first. Where handshakes are answered and joins are not, something
	// swallows joins, and goes on.
	JoinUnanswered: {"join unanswered", 2 * time.Second, 2 * time.Minute, 1 << Established, true},
	// What legs meet. The first flow after that time pays for the look, with the delay of
	// a race, and a firewall or portal stays as it is for long.
	Overtaken: {"overtaken", 10 * time.Second, 10 * time.Minute, 1<<Connected | 1<<Authenticated, false},
	Unreached: {"unreached", 30 * time.Second, 10 * time.Minute, 1<<Connected | 1<<Authenticated, false},
	Stripped:  {"MPTCP stripped", 30 * time.Second, 10 * time.Minute, 1 << Authenticated, false},
	Captive:   {"captive", 30 * time.Second, 10 * time.Minute, 1 << Authenticated, false},
}
