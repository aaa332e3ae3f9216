package policy

import "mpproxy/pathctl/reason"

// Standbys says which paths besides the one in use get a subflow.
type Standbys uint8

// The standbys.
const (
	NoStandby Standbys = iota
	UnmeteredStandby
	EveryStandby
)

// Carry makes one path carry everything. The others are established backups as
// far as standby says; paths before it in preference are always opened, to
// return to them.
func (v *View) Carry(best int, standby Standbys, why reason.Reason) {
	if best != Nowhere {
		v.Choose(v.Paths[best].Name)
	}
	carries := v.ReadyOn(best) != Nowhere
	for i := range v.Subs {
		s := &v.Subs[i]
		switch {
		case s.verdict == dropped || s.On == Nowhere || !carries: // no better one is known
		case s.On == best:
			v.Keep(i, false, why)
		case v.Paths[s.On].Metered && standby != EveryStandby && s.On > best:
			v.Dismiss(i)
		default:
			v.Keep(i, true, reason.Reason{Kind: ReasonCarries, Path: v.Memory.Best})
		}
	}
	if !carries {
		return // rescue opens what is needed
	}
	for k := range v.Paths {
		p := &v.Paths[k]
		switch {
		case standby == NoStandby || k == best:
		case k < best:
			v.Add(k, true, v.Preferred(k))
		case standby == EveryStandby || !p.Metered:
			v.Add(k, true, reason.Reason{Kind: reasonStandby, Path: v.Memory.Best})
		}
	}
}

// Preferred says that a path is preferred to the one in use.
func (v *View) Preferred(path int) reason.Reason {
	return reason.Reason{Kind: reasonPreferred, Path: v.Paths[path].Name, Other: v.Memory.Best}
}

// Current returns the path that has carried the data so far, or Nowhere.
func (v *View) Current() int {
	if v.Memory.Best != "" {
		return v.pathOf(v.Memory.Best)
	}
	first := Nowhere
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.On != Nowhere && s.Ready() && (first == Nowhere || s.Initial && !s.Backup) {
			first = s.On
		}
	}
	return first
}

// ByRank returns the path that should carry the data when the preferred one
// should: the present one until it fails or a better one is back. The words
// say why it changes.
func (v *View) ByRank() (int, reason.Reason) {
	now := v.Current()
	if v.ReadyOn(now) == Nowhere {
		next := v.firstReady()
		if next == Nowhere {
			return now, reason.Reason{}
		}
		v.blameLost(now)
		return next, v.Failure(now)
	}
	for k := range v.Paths[:now] {
		if v.returned(k) {
			return k, reason.Reason{Kind: reasonReturned, Path: v.Paths[k].Name, Took: v.Params.ReturnAfter}
		}
	}
	return now, reason.Reason{Kind: ReasonCarries}
}

// firstReady returns the preferred path with a subflow that works, one on
// probation, here or at the concentrator, last.
func (v *View) firstReady() int {
	last := Nowhere
	for k := range v.Paths {
		i := v.ReadyOn(k)
		switch {
		case i == Nowhere:
		case v.Probation(v.Paths[k].Name) == 0 && !v.Subs[i].PeerBackup:
			return k
		case last == Nowhere:
			last = k
		}
	}
	return last
}

// blameLost holds it against a path that is up that its subflow is gone,
// without our doing: the peer, who sees its own losses, has closed it.
func (v *View) blameLost(path int) {
	if path == Nowhere || !v.Paths[path].Up || v.occupied(path) || v.bestOn(path) != Nowhere {
		return
	}
	v.Blame(v.Paths[path].Name, v.Failure(path), true)
}

// Failure says why a path does not carry the data any more.
func (v *View) Failure(path int) reason.Reason {
	if path == Nowhere {
		return reason.Reason{Kind: reasonGone, Path: v.Memory.Best}
	}
	name := v.Paths[path].Name
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == path && s.fault.kind != healthy {
			return s.fault.reason(name)
		}
	}
	return reason.Reason{Kind: reasonEmpty, Path: name}
}
