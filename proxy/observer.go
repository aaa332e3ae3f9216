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

// observed is a leg of which an Observer knows. A nil one does nothing.
type observed struct {
	by    Observer
	token uapi.Token
	// What by was told last. The choice stays for as long as the leg.
	to         Destination
	user, rule string
}

// observe tells o of a leg. A leg that is plain TCP has no token, and nothing to
// decide about.
//
// On the client it comes before the leg's first flight and not beside it: the
// second subflow is asked for when that has been acknowledged, and often waited
// for a goroutine that told of the leg meanwhile.
func observe(o Observer, leg *mptcpsock.Conn, s Stream) *observed {
	if o == nil {
		return nil
	}
	token, err := leg.Token()
	if err != nil {
		return nil
	}
	o.Opened(token, leg, s)
	return &observed{o, token, s.Destination, s.User, s.Rule}
}

// next tells of another stream, if there is anything new to tell.
func (w *observed) next(s Stream) {
	if w == nil || w.to == s.Destination && w.user == s.User && w.rule == s.Rule {
		return
	}
	w.to, w.user, w.rule = s.Destination, s.User, s.Rule
	w.by.Carries(w.token, s)
}

// end tells of the leg's end.
func (w *observed) end() {
	if w != nil {
		w.by.Closed(w.token)
	}
}
