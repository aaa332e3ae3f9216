// Package relay is the byte pump between two connections:
//
//	var c relay.Counters
//	res := relay.Run(ctx, app, leg, relay.Config{}, &c)
//	log.Debug("connection ended", "reason", res.Reason, "sent", res.AToB, "received", res.BToA)
//
// Run copies both ways, keeps half-closes in both directions, turns a reset on
// one side into a reset on the other, ends connections that are idle or too
// old, and closes both before it returns. Bytes in TCP and MPTCP sockets are
// moved on the descriptor itself: spliced, or copied through a large pooled
// buffer, whichever was measured to cost less for that direction (choose in
// method.go). TLS over a [RecordConn] is pumped in batches of records.
//
// A connection that waits holds its two sockets, two small goroutines and one
// timer, and nothing else: neither buffer nor pipe is taken before there is
// something to put into it, and both are given back before the next wait for
// the source. What waits for a slow destination keeps what it holds, within
// limits for the whole process.
//
// The package does not dial, accept, authenticate or log, and sets no socket
// option but SO_LINGER, when it has to reset a connection.
package relay
