// Package relay is the byte pump between two connections:
//
//	var c relay.Counters
//	end := func(res relay.Result) { log.Debug("connection ended", "reason", res.Reason, "sent", res.AToB) }
//	if res, over := relay.Run(ctx, app, leg, relay.Config{Lot: lot}, &c, end); over {
//		end(res)
//	}
//
// Run copies both ways, keeps half-closes in both directions, turns a reset on
// one side into a reset on the other, ends connections that are idle or too
// old, and closes both when it is over. Bytes in TCP and MPTCP sockets are
// moved on the descriptor itself: spliced, or copied through a large pooled
// buffer, whichever was measured to cost less for that direction (choose in
// method.go). TLS over a [RecordConn] is pumped in batches of records.
//
// A connection that waits holds its two sockets, two small goroutines and one
// timer, and nothing else: neither buffer nor pipe is taken before there is
// something to put into it, and both are given back before the next wait for
// the source. After two seconds without a byte it is parked in a [Lot], where it
// holds no goroutine either (park.go). What waits for a slow destination keeps
// what it holds, within limits for the whole process.
//
// The package does not dial, accept, authenticate or log, and sets no socket
// option but SO_LINGER, when it has to reset a connection, and keep-alive.
package relay
