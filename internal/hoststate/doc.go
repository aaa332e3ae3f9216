// Package hoststate changes what belongs to the whole host, or to its network
// namespace, and puts it back: when the program stops, or at its next start after a
// crash.
//
//	lock, err := hoststate.LockRole(dir, "client") // the only one of its role here
//	shared, err := hoststate.OpenShared(dir)       // settings that several programs need
//	err = shared.Restore()                         // what programs left that were killed
//	before, err := shared.Take(hoststate.PathManager)
//	err = shared.Return(hoststate.PathManager)     // the last one puts it back
//	j, err := hoststate.OpenJournal(dir, "client") // one program's own notes
//
// The journal, settings and locks are here. Endpoints, routes and rules know how to put
// themselves back, and keep in a journal what they need for it.
package hoststate
