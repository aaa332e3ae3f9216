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
	// Carries tells that the leg, which stays in the mode and on the paths that it
	// was opened with, carries another stream now.
	Carries(token uapi.Token, s Stream)
	Closed(token uapi.Token)
}

<<<<<<< HEAD
// observe tells o of a leg and returns how to tell it of the end. A leg that is
// plain TCP has no token, and nothing to decide about.
//
// On the client it comes before the leg's first flight and not beside it: the
// second subflow is asked for when that has been acknowledged, and often waited
// for a goroutine that told of the leg meanwhile.
func observe(o Observer, leg *mptcpsock.Conn, s Stream) (ended func()) {
=======
// observed is a leg of which an Observer knows. A nil one does nothing.
type observed struct {
	by     Observer
	token  uapi.Token
	opened chan struct{} // closed when by has been told of the leg
}

// observe tells o of a leg. A leg that is plain TCP has no token, and nothing to
// decide about.
func observe(o Observer, leg *mptcpsock.Conn, s Stream) *observed {
>>>>>>> 19facc6 (Carry one stream after another on a leg that has ended well)
	if o == nil {
		return nil
	}
	token, err := leg.Token()
	if err != nil {
		return nil
	}
<<<<<<< HEAD
	o.Opened(token, leg, s)
	return func() { o.Closed(token) }
=======
	// Beside the leg's own first flight: the second subflow may be asked for
	// when that has been acknowledged, so nothing may hold it up.
	w := &observed{o, token, make(chan struct{})}
	go w.begin(leg, s)
	return w
}

// begin is the goroutine that tells of a leg; whoever tells more waits for it.
func (w *observed) begin(leg *mptcpsock.Conn, s Stream) {
	defer close(w.opened)
	w.by.Opened(w.token, leg, s)
}

// next tells of another stream.
func (w *observed) next(s Stream) {
	if w == nil {
		return
	}
	<-w.opened
	w.by.Carries(w.token, s)
}

// end tells of the leg's end.
func (w *observed) end() {
	if w == nil {
		return
	}
	<-w.opened
	w.by.Closed(w.token)
>>>>>>> 19facc6 (Carry one stream after another on a leg that has ended well)
}
