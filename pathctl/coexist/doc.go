// Package coexist finds what else on this host has a say about MPTCP subflows:
// endpoints that NetworkManager or mptcpd registered, a program that listens to
// MPTCP's events, a path manager that somebody else has switched, a strict
// reverse path filter.
//
//	s := coexist.Scanner{Endpoints: client.Endpoints, Ours: ours, EventsGroup: events.Group()}
//	facts, err := s.Scan(ctx)
//	for _, n := range coexist.Notices(facts) { … }
//
// What was found is a value, and what is said about it a pure function of that.
// The package changes nothing: mpproxy removes only what is its own.
package coexist
