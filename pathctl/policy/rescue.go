package policy

// rescue opens the next path when no subflow can carry data. What does not work
// stays until the new one is established (make before break): a path that comes
// back by itself is then not lost.
func (v *view) rescue() {
	if v.readyBut(nowhere) || len(v.create) > 0 {
		return
	}
	for k := range v.paths {
		if v.paths[k].Up && v.pendingOn(k, v.p.JoinPatience) {
			v.lookIn(v.p.JoinPatience)
			return
		}
	}
	if k := v.nextPath(); k != nowhere {
		v.create = append(v.create, Create{v.paths[k].Name, false, v.trouble()})
	}
}

// nextPath returns the preferred path that a subflow can be created on, one on
// probation or unproven last, or nowhere.
func (v *view) nextPath() int {
	last := nowhere
	for k := range v.paths {
		switch {
		case !v.creatable(k):
		case v.probation(v.paths[k].Name) == 0 && !v.paths[k].Unproven:
			return k
		case last == nowhere:
			last = k
		}
	}
	return last
}

// trouble says why nothing carries data.
func (v *view) trouble() string {
	for i := range v.subs {
		if s := &v.subs[i]; s.Established && s.fault.kind != healthy {
			return s.fault.describe(s.label())
		}
	}
	return "no subflow is established"
}

// keepOne undoes the drop of the best established subflow when a mode left
// none.
func (v *view) keepOne() {
	best := nowhere
	for i := range v.subs {
		s := &v.subs[i]
		if !s.Established {
			continue
		}
		if s.verdict != dropped {
			return
		}
		if best == nowhere || s.fault.kind < v.subs[best].fault.kind {
			best = i
		}
	}
	if best != nowhere {
		v.subs[best].verdict = undecided
	}
}
