package pathstate

import "time"

// Result is how an attempt to reach the concentrator over a path ended, judged up to
// its authenticated answer.
type Result uint8

// The results.
const (
	Untried    Result = iota
	Fine              // authenticated, over MPTCP
	Silent            // nothing was answered in time
	Refused           // the handshake of TCP was
	ForeignKey        // somebody else's certificate
	PlainTCP          // authenticated, but MPTCP was stripped on the way
	SmallMTU          // the handshake passed, what is longer did not
	Closed            // the connection ended before the answer
)

var results = [...]string{"not tried", "fine", "silent", "refused", "another key", "MPTCP stripped", "small MTU", "closed"}

// String returns a word or two that can be read in a sentence.
func (r Result) String() string { return results[r] }

// Leg is the last attempt to reach the concentrator over a path.
type Leg struct {
	Result Result
	At     time.Time
}

// Legged notes how a leg that was tried at since ended. It reports whether that ended
// the last trouble that the path had.
func (s *State) Legged(r Result, why string, since, now time.Time) (recovered bool) {
	s.Leg = Leg{r, now}
	switch r {
	case Fine:
		return s.Learn(Authenticated, now)
	case PlainTCP:
		s.Fail(Stripped, why, since, now)
	case Silent, Refused, ForeignKey, SmallMTU, Closed:
		s.Fail(Captive, why, since, now)
	}
	return false
}
