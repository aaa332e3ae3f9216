package policy

import "mpproxy/pathctl/reason"

// Rescue opens the next path when no subflow can carry data. What does not work
// stays until the new one is established (make before break): a path that comes
// back by itself is then not lost.
func (v *View) Rescue() {
	if v.ReadyBut(Nowhere) || len(v.create) > 0 {
		return
	}
	for k := range v.Paths {
		if v.Paths[k].Up && v.pendingOn(k, v.Params.JoinPatience) {
			v.LookIn(v.Params.JoinPatience)
			return
		}
	}
	if k := v.NextPath(); k != Nowhere {
		v.Create(k, false, v.trouble())
	}
}

// NextPath returns the preferred path that a subflow can be created on, one on
// probation or unproven last, or Nowhere.
func (v *View) NextPath() int {
	last := Nowhere
	for k := range v.Paths {
		switch {
		case !v.Creatable(k):
		case v.Probation(v.Paths[k].Name) == 0 && !v.Paths[k].Unproven:
			return k
		case last == Nowhere:
			last = k
		}
	}
	return last
}

// trouble says why nothing carries data.
func (v *View) trouble() reason.Reason {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Established && s.fault.kind != healthy {
			return s.fault.reason(s.Label())
		}
	}
	return reason.Reason{Kind: reasonNone}
}

// keepOne undoes the drop of the best established subflow when a mode left
// none.
func (v *View) keepOne() {
	best := Nowhere
	for i := range v.Subs {
		s := &v.Subs[i]
		if !s.Established {
			continue
		}
		if s.verdict != dropped {
			return
		}
		if best == Nowhere || s.fault.kind < v.Subs[best].fault.kind {
			best = i
		}
	}
	if best != Nowhere {
		v.Subs[best].verdict = undecided
	}
}
