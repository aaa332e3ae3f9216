package main

import (
	"net/netip"
	"slices"

	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/rig"
)

// handshakes and data of legs: what a client's host sends to the concentrator and
// what the concentrator answers to its SYNs.
func ofLegs(s capture.Segment) bool {
	return s.SYN || s.Outgoing && s.Dst.Port() == rig.Port && s.Len > 0
}

// isJoin tells the requests for further subflows that a host sends.
func isJoin(s capture.Segment) bool { return s.Outgoing && s.SYN && !s.ACK && s.Join }

// leg names an MPTCP connection in a capture at the client.
type leg struct {
	first netip.AddrPort // the local end of its first subflow
	token uint32         // that its further subflows ask for
}

// findLeg finds the connection of which some subflows are known.
func findLeg(all []capture.Segment, subflows []netip.AddrPort) (l leg, ok bool) {
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

// joins returns the first SYN of each further subflow.
func (l leg) joins(all []capture.Segment) []capture.Segment {
	var out []capture.Segment
	for _, s := range all {
		again := func(o capture.Segment) bool { return o.Src == s.Src && o.Dst == s.Dst && o.Seq == s.Seq }
		if isJoin(s) && s.Token == l.token && !slices.ContainsFunc(out, again) {
			out = append(out, s)
		}
	}
	return out
}
