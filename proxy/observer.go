package proxy

import (
	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
)

// Stream is what a leg carries, as far as it matters to whoever decides about
// its paths.
type Stream struct {
	Destination Destination
	User        string // local user on the client, the link's on the concentrator
	Choice
}

// Observer learns of the legs that are Multipath TCP, by their token in the
// kernel: the controller is one. Its methods may be called from any goroutine
// and must not block for long. Closed follows each Opened; the leg's socket may
// be closed by then.
type Observer interface {
	Opened(token uapi.Token, leg *mptcpsock.Conn, s Stream)
	Closed(token uapi.Token)
}

// observe tells o of a leg and returns how to tell it of the end. A leg that is
// plain TCP has no token, and nothing to decide about.
//
// On the client it comes before the leg's first flight and not beside it: the
// second subflow is asked for when that has been acknowledged, and often waited
// for a goroutine that told of the leg meanwhile.
func observe(o Observer, leg *mptcpsock.Conn, s Stream) (ended func()) {
	if o == nil {
		return func() {}
	}
	token, err := leg.Token()
	if err != nil {
		return func() {}
	}
	o.Opened(token, leg, s)
	return func() { o.Closed(token) }
}
