package pathstate

import "time"

// Result is what a leg to the concentrator met on a path, judged up to the
// concentrator's authenticated answer.
type Result uint8

// The results, from the first step of a leg to the last.
const (
	LegOvertaken  Result = iota // another way that was tried later answered first
	LegSilent                   // nothing came until the deadline
	LegRefused                  // the network or the host said no
	LegConnected                // somebody answered; who, is not known yet
	LegStripped                 // it came up as plain TCP
	LegStalled                  // then nothing came until the deadline
	LegForeignKey               // somebody answered with another key
	LegBroken                   // TLS or SOCKS failed in another manner
	LegFine                     // the concentrator has answered
)

var resultNames = [...]string{"overtaken", "silent", "refused", "connected", "stripped of MPTCP", "stalled", "foreign key", "broken", "fine"}

// String returns the result in words.
func (r Result) String() string { return resultNames[r] }

// Leg is what the last leg over a path met.
type Leg struct {
	Result Result
	At     time.Time // zero: there was none
}

// Met notes what a leg met, and in words why that is bad. It reports whether it ended
// the last trouble that the path had.
func (s *State) Met(r Result, why string, now time.Time) (recovered bool) {
	s.Leg = Leg{r, now}
	switch r {
	case LegFine:
		return s.Learn(Authenticated, now)
	case LegConnected:
		return s.Learn(Connected, now)
	case LegOvertaken:
		s.Fail(Overtaken, why, now, now)
	case LegSilent, LegRefused:
		s.Fail(Unreached, why, now, now)
	case LegStripped:
		s.Fail(Stripped, why, now, now)
	default:
		s.Fail(Captive, why, now, now)
	}
	return false
}
