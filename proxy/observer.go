package proxy

import (
	"slices"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
)

// Observer learns of the legs that are Multipath TCP, by their token in the
// kernel: the controller is one. Its methods may be called from any goroutine
// and must not block for long. Closed follows each Opened; the leg's socket may
// be closed by then.
type Observer interface {
	Opened(token uapi.Token, leg *mptcpsock.Conn, f *Flow)
	// Carries tells that the leg, which stays in the mode that it was opened with, carries
	// another flow now, and may use the paths that this one may.
	Carries(token uapi.Token, f *Flow)
	Closed(token uapi.Token)
}

// Observed is a leg that an Observer knows. A nil one does nothing.
type Observed struct {
	by    Observer
	token uapi.Token
	// What by was told last. The mode stays for as long as the leg.
	to         Destination
	user, rule string
	paths      []string
}

// Observe tells o of a leg. It returns nil for a leg that is plain TCP: that has no
// token, and there is nothing to decide about it. A nil o is told nothing.
//
// The client calls it before the leg's first flight and not beside it. The second
// subflow is asked for when that flight is acknowledged, and would often wait for a
// goroutine that told of the leg meanwhile.
func Observe(o Observer, leg *mptcpsock.Conn, f *Flow) *Observed {
	if o == nil {
		return nil
	}
	token, err := leg.Token()
	if err != nil {
		return nil
	}
	o.Opened(token, leg, f)
	return &Observed{o, token, f.To, f.Who.User, f.How.Rule, f.How.Paths}
}

// Next tells of another flow on the leg, if there is anything new to tell.
func (w *Observed) Next(f *Flow) {
	if w == nil || w.to == f.To && w.user == f.Who.User && w.rule == f.How.Rule && slices.Equal(w.paths, f.How.Paths) {
		return
	}
	w.to, w.user, w.rule, w.paths = f.To, f.Who.User, f.How.Rule, f.How.Paths
	w.by.Carries(w.token, f)
}

// End tells of the leg's end.
func (w *Observed) End() {
	if w != nil {
		w.by.Closed(w.token)
	}
}
