package engine

import (
	"mpproxy/pathctl/reason"
)

// Reason is the class of a decision's reason: Decision.Why in one of a few
// words, for counting.
type Reason string

// The reasons.
const (
	ReasonMode               = Reason(reason.ClassMode)      // the mode wants it so
	ReasonFailover           = Reason(reason.ClassFailover)  // another subflow failed, or none was left
	ReasonSetAside           = Reason(reason.ClassSetAside)  // its path gave trouble lately
	ReasonTimeout            = Reason(reason.ClassTimeout)   // data was not acknowledged in time
	ReasonLoss               = Reason(reason.ClassLoss)      // it works, but loses or delays too much
	ReasonNoAnswer           = Reason(reason.ClassNoAnswer)  // the peer did not answer MP_JOIN
	ReasonPathDown           = Reason(reason.ClassPathDown)  // its path is down, gone or not allowed
	ReasonUnneeded           = Reason(reason.ClassUnneeded)  // the mode has no use for it any more
	ReasonReplaced           = Reason(reason.ClassReplaced)  // another one takes its place
	ReasonForgotten          = Reason(reason.ClassForgotten) // its path works, and something on the way does not know it any more
	ReasonReset       Reason = "reset"                       // the other end, or a middlebox, reset it
	ReasonUnreachable Reason = "unreachable"                 // the network says that there is no way
	ReasonAddressGone Reason = "address-gone"                // the peer took its address back
	ReasonRecovered   Reason = "recovered"                   // the path works again
	ReasonResumed     Reason = "resumed"                     // the machine has slept
)

// Reasons returns every reason: what counts by reason is bounded by them.
func Reasons() []Reason {
	return []Reason{
		ReasonMode, ReasonFailover, ReasonSetAside, ReasonTimeout, ReasonLoss, ReasonNoAnswer, ReasonPathDown,
		ReasonUnneeded, ReasonReplaced, ReasonForgotten, ReasonReset, ReasonUnreachable, ReasonAddressGone, ReasonRecovered,
		ReasonResumed,
	}
}
