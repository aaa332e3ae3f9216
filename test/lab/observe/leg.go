// Package observe looks at one connection through the proxy from outside of both
// programs: its packets at the client, its timers in the kernel, its bytes at the
// application.
package observe

import (
	"net/netip"
	"slices"
	"time"

	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/rig"
)

// handshakes and data of legs: what a client's host sends to the concentrator and
// what the concentrator answers to its SYNs.
func OfLegs(s capture.Segment) bool {
	return s.SYN || s.Outgoing && s.Dst.Port() == rig.Port && s.Len > 0
}

// isJoin tells the requests for further subflows that a host sends.
func isJoin(s capture.Segment) bool { return s.Outgoing && s.SYN && !s.ACK && s.Join }

// leg names an MPTCP connection in a capture at the client.
type leg struct {
	first netip.AddrPort // the local end of its first subflow
	token uint32         // that its further subflows ask for
}

// FindLeg finds the connection of which some subflows are known.
func FindLeg(all []capture.Segment, subflows []netip.AddrPort) (l leg, ok bool) {
	for _, s := range all {
		switch {
		case s.Outgoing && s.SYN && s.Capable && slices.Contains(subflows, s.Src):
			l.first = s.Src
		case !s.Outgoing && s.SYN && s.ACK && s.Capable && s.Dst == l.first:
			l.token, ok = s.Token, true
		}
	}
	return l, ok
}

// Joins returns the first SYN of each further subflow.
func (l leg) Joins(all []capture.Segment) []capture.Segment {
	var out []capture.Segment
	for _, s := range all {
		again := func(o capture.Segment) bool { return o.Src == s.Src && o.Dst == s.Dst && o.Seq == s.Seq }
		if isJoin(s) && s.Token == l.token && !slices.ContainsFunc(out, again) {
			out = append(out, s)
		}
	}
	return out
}

// JoinDelays returns for each connection in a capture at the client the time from
// its SYN to that of its second subflow, in µs.
func JoinDelays(all []capture.Segment) []float64 {
	begun := make(map[netip.AddrPort]time.Time) // by the local end
	byToken := make(map[uint32]time.Time)
	var delays []float64
	for _, s := range all {
		switch {
		case s.Outgoing && !s.ACK && s.Capable:
			begun[s.Src] = s.At
		case !s.Outgoing && s.ACK && s.Capable:
			byToken[s.Token] = begun[s.Dst]
		case isJoin(s):
			if at := byToken[s.Token]; !at.IsZero() {
				delays = append(delays, float64(s.At.Sub(at))/float64(time.Microsecond))
				delete(byToken, s.Token) // the first one counts
			}
		}
	}
	return delays
}
