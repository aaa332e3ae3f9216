// Package hoststate changes what belongs to the whole host, or to its network
// namespace, and puts it back: when the program stops, or at its next start after a
// crash.
//
//	lock, err := hoststate.LockRole("client")          // the only one of its role here
//	j, err := hoststate.OpenJournal(dir, "client")     // one file for each network namespace
//	err = hoststate.ReturnPathManager(j)               // what an earlier run left
//	before, err := hoststate.TakePathManager(j)        // it stands in the journal first
//
// The journal, sysctls and locks of roles are here. Endpoints, routes and rules know
// how to put themselves back, and keep in the journal what they need for it.
package hoststate
