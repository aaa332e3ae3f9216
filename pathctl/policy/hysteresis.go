package policy

import (
	"slices"
	"time"

	"mpproxy/pathctl/reason"
)

// Dismiss lets go of a subflow that is not needed any more: it carries nothing
// from now on, and is dropped when what was in flight has arrived. While the
// path in use loses data the other one may be needed any moment.
func (v *View) Dismiss(i int) {
	left := v.Memory.Since + v.Params.Linger - v.Conn.Age
	if left <= 0 && !v.losing(v.Memory.Best) {
		v.Drop(i, Unneeded, reason.Reason{Kind: ReasonCarries, Path: v.Memory.Best})
		return
	}
	v.LookIn(left)
	v.Keep(i, true, reason.Reason{Kind: ReasonCarries, Path: v.Memory.Best})
}

// losing reports whether a subflow on a path is being watched for loss.
func (v *View) losing(path string) bool {
	return slices.ContainsFunc(v.Subs, func(s Sub) bool {
		_, watched := v.watching(s.ID, SignLoss)
		return watched && s.Path == path && s.Ready()
	})
}

// returned reports whether a path has been good for long enough to be trusted:
// up, off probation, not set aside by the concentrator, and, when it failed
// before, with a subflow that lasts.
func (v *View) returned(path int) bool {
	i := v.ReadyOn(path)
	if i == Nowhere || v.Subs[i].PeerBackup {
		return false
	}
	p := &v.Paths[path]
	left := max(v.Params.ReturnAfter-p.UpFor, v.Probation(p.Name))
	if _, failed := v.Note(p.Name); failed {
		left = max(left, v.Params.ReturnAfter-v.lasted(path))
	}
	v.LookIn(left)
	return left <= 0
}

// lasted is the age of the oldest subflow that works on a path. Which of several is
// the best says nothing: their priorities change.
func (v *View) lasted(path int) (age time.Duration) {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == path && s.Ready() && !s.PeerBackup {
			age = max(age, s.Age)
		}
	}
	return age
}

// Outlasts reports whether a rival of the path in use has been better for as long as
// hold, and the last change is as long ago as stay. The caller says at each decision
// that it is better, or NoRival.
func (v *View) Outlasts(rival string, hold, stay time.Duration) bool {
	if v.Memory.Rival != rival {
		v.Memory.Rival, v.Memory.RivalSince = rival, v.Conn.Age
	}
	left := v.Memory.RivalSince + hold - v.Conn.Age
	if v.Memory.Since > 0 {
		left = max(left, v.Memory.Since+stay-v.Conn.Age)
	}
	v.LookIn(left)
	return left <= 0
}

// NoRival says that no path is better than the one in use.
func (v *View) NoRival() { v.Memory.Rival, v.Memory.RivalSince = "", 0 }
