// Package pathstate holds what is believed about one path: one value for each path,
// shared by all connections.
//
//	var s pathstate.State
//	s.Fail(pathstate.Dark, "no progress for 300 ms", began, now)
//	wait := s.Retry(now)           // nobody joins the path before
//	s.Learn(pathstate.Established, now)
//
// Observers write a State: the engine what events, readings and probes show, the data
// path what a whole leg met. Everybody else reads a copy. Each number carries the time
// at which it was measured.
//
// The package is pure: it imports the standard library only, has no clock, and a State
// holds no pointers, so that an assignment copies it.
package pathstate
